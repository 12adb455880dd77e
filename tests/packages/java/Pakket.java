import com.sun.xml.ws.api.message.Headers;
import com.sun.xml.ws.developer.WSBindingProvider;
import java.io.StringReader;
import java.net.URL;
import java.util.ArrayList;
import java.util.List;
import javax.activation.DataHandler;
import javax.activation.FileDataSource;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.ws.BindingProvider;
import javax.xml.ws.soap.MTOMFeature;
import org.w3c.dom.Element;
import org.xml.sax.InputSource;
import portaal.AkkoordRegel;
import portaal.Document;
import portaal.Gebeurtenissen;
import portaal.OnderdeelIn;
import portaal.Pakketten;
import portaal.PakkettenService;
import portaal.Rol;
import portaal.Storing_Exception;
import portaal.StukIn;
import portaal.StukUit;

/** A package that was made with wsimport: Pakket url wsdl key klant instance pdf approver. */
public final class Pakket {
    public static void main(String[] a) throws Exception {
        PakkettenService service = new PakkettenService(new URL(a[1]));
        Pakketten mtom = at(a[0], service.getSoap11(new MTOMFeature()));
        Pakketten inline = at(a[0], service.getSoap12());

        StukIn stuk = stuk(a[3], a[6]);
        StukUit told = mtom.uploadMessage(a[2], "java-1", stuk, documents(a[4], a[5]));
        System.out.println("mtom " + told.getId() + " " + told.getStaat());
        told = inline.uploadMessage(a[2], "java-1", stuk, documents(a[4], a[5]));
        System.out.println("again " + told.getId() + " " + told.getOnderdelen().get(1).getNaam());
        told = inline.getMessageStatus(a[2], told.getId());
        System.out.println("status " + told.getId() + " " + told.getOnderdelen().size());
        Pakketten secured = at(a[0], service.getSoap11(new MTOMFeature()));
        ((WSBindingProvider) secured).setOutboundHeaders(Headers.create(usernameToken(a[2])));
        told = secured.getMessageStatus(null, told.getId());
        System.out.println("secured " + told.getId());
        Gebeurtenissen heard = mtom.getUpdatedMessages(a[2], 0L, null);
        System.out.println("updated " + heard.getStukken());
        System.out.println("document " + mtom.uploadDocument(
            a[2], null, a[3], "map", "Stukken", "uit-java.pdf", null, data(a[5])).getId());

        stuk.setJaar(1900);
        for (Pakketten way : new Pakketten[] {mtom, inline}) {
            try {
                way.uploadMessage(a[2], "java-2", stuk, documents(a[4], a[5]));
            } catch (Storing_Exception e) {
                System.out.println("fault " + e.getFaultInfo().getCode() + " "
                    + e.getFaultInfo().getFouten().getFout().get(0).getVeld() + " "
                    + e.getFaultInfo().getFouten().getFout().get(0).getValue());
            }
        }
        told = inline.withdraw(a[2], null, told.getId(), "Verkeerde periode gekozen.");
        System.out.println("withdrawn " + told.getStaat());
    }

    private static Pakketten at(String url, Pakketten port) {
        ((BindingProvider) port).getRequestContext()
            .put(BindingProvider.ENDPOINT_ADDRESS_PROPERTY, url);
        return port;
    }

    private static Element usernameToken(String key) throws Exception {
        String wss = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-";
        String text = "<w:Security xmlns:w='" + wss + "wssecurity-secext-1.0.xsd'>"
            + "<w:UsernameToken><w:Username>java</w:Username><w:Password Type='" + wss
            + "username-token-profile-1.0#PasswordText'>" + key
            + "</w:Password></w:UsernameToken></w:Security>";
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        return factory.newDocumentBuilder()
            .parse(new InputSource(new StringReader(text))).getDocumentElement();
    }

    private static StukIn stuk(String klant, String approver) {
        StukIn stuk = new StukIn();
        stuk.setKlant(klant);
        stuk.setSoort("ob");
        stuk.setJaar(2026);
        stuk.setPeriode("1e kwartaal");
        stuk.getOnderdelen().add(onderdeel(Rol.INSTANCE, "aangifte"));
        stuk.getOnderdelen().add(onderdeel(Rol.AKKOORDDOCUMENT, "pdf"));
        AkkoordRegel regel = new AkkoordRegel();
        regel.getPersonen().add(approver);
        stuk.getAkkoordVan().add(regel);
        return stuk;
    }

    private static OnderdeelIn onderdeel(Rol rol, String inhoud) {
        OnderdeelIn een = new OnderdeelIn();
        een.setRol(rol);
        een.setInhoud(inhoud);
        return een;
    }

    private static List<Document> documents(String instance, String pdf) {
        List<Document> found = new ArrayList<>();
        found.add(document("aangifte", "ob.xbrl", instance));
        found.add(document("pdf", "ob.pdf", pdf));
        return found;
    }

    private static Document document(String naam, String bestandsnaam, String file) {
        Document een = new Document();
        een.setNaam(naam);
        een.setBestandsnaam(bestandsnaam);
        een.setInhoud(data(file));
        return een;
    }

    private static DataHandler data(String file) {
        return new DataHandler(new FileDataSource(file));
    }
}
