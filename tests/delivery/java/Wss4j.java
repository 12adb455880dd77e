import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.TreeSet;
import javax.xml.parsers.DocumentBuilder;
import javax.xml.parsers.DocumentBuilderFactory;
import javax.xml.transform.OutputKeys;
import javax.xml.transform.Transformer;
import javax.xml.transform.TransformerFactory;
import javax.xml.transform.dom.DOMSource;
import javax.xml.transform.stream.StreamResult;
import org.apache.ws.security.WSConstants;
import org.apache.ws.security.WSDataRef;
import org.apache.ws.security.WSEncryptionPart;
import org.apache.ws.security.WSSecurityEngine;
import org.apache.ws.security.WSSecurityEngineResult;
import org.apache.ws.security.components.crypto.Merlin;
import org.apache.ws.security.message.WSSecHeader;
import org.apache.ws.security.message.WSSecSignature;
import org.apache.ws.security.message.WSSecTimestamp;
import org.w3c.dom.Document;

/**
 * Another implementation to compare with: "verify ca.pem file..." prints for each file the
 * elements that are signed, or why it is refused; "sign key.p12 algorithm in out" signs.
 */
public class Wss4j {
    private static final String DS = "http://www.w3.org/2000/09/xmldsig#";
    private static final String WSA = "http://www.w3.org/2005/08/addressing";
    private static final char[] PASSWORD = "test".toCharArray();

    public static void main(String[] args) throws Exception {
        if (args[0].equals("verify")) {
            for (int i = 2; i < args.length; i++) {
                System.out.println(verified(args[1], args[i]));
            }
        } else {
            sign(args[1], args[2], args[3], args[4]);
        }
    }

    private static String verified(String ca, String file) throws Exception {
        KeyStore trusted = KeyStore.getInstance("PKCS12");
        trusted.load(null, null);
        CertificateFactory factory = CertificateFactory.getInstance("X.509");
        trusted.setCertificateEntry("ca", factory.generateCertificate(new FileInputStream(ca)));
        Merlin crypto = new Merlin();
        crypto.setTrustStore(trusted);
        List<WSSecurityEngineResult> results;
        try {
            results = new WSSecurityEngine()
                .processSecurityHeader(parse(file), null, null, crypto);
        } catch (Exception e) {
            return "refused " + e.getClass().getSimpleName();
        }
        return results == null ? "unsigned" : "signed " + String.join(" ", names(results));
    }

    private static TreeSet<String> names(List<WSSecurityEngineResult> results) {
        TreeSet<String> found = new TreeSet<>();
        for (WSSecurityEngineResult result : results) {
            Object references = result.get(WSSecurityEngineResult.TAG_DATA_REF_URIS);
            if (references != null) {
                for (Object reference : (List<?>) references) {
                    found.add(((WSDataRef) reference).getName().getLocalPart());
                }
            }
        }
        return found;
    }

    private static void sign(String p12, String algorithm, String in, String out)
            throws Exception {
        KeyStore store = KeyStore.getInstance("PKCS12");
        store.load(new FileInputStream(p12), PASSWORD);
        Merlin crypto = new Merlin();
        crypto.setKeyStore(store);
        Document document = parse(in);
        WSSecHeader header = new WSSecHeader();
        header.insertSecurityHeader(document);
        WSSecTimestamp timestamp = new WSSecTimestamp();
        timestamp.setTimeToLive(600);
        timestamp.build(document, header);
        WSSecSignature signature = new WSSecSignature();
        signature.setUserInfo("service", "test");
        signature.setKeyIdentifierType(WSConstants.BST_DIRECT_REFERENCE);
        boolean sha1 = algorithm.equals("sha1");
        signature.setSignatureAlgorithm(
            sha1 ? DS + "rsa-sha1" : "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256");
        signature.setDigestAlgo(sha1 ? DS + "sha1" : "http://www.w3.org/2001/04/xmlenc#sha256");
        signature.setParts(parts());
        signature.build(document, crypto, header);
        Transformer transformer = TransformerFactory.newInstance().newTransformer();
        transformer.setOutputProperty(OutputKeys.OMIT_XML_DECLARATION, "yes");
        transformer.transform(
            new DOMSource(document), new StreamResult(new FileOutputStream(out)));
    }

    private static List<WSEncryptionPart> parts() {
        List<WSEncryptionPart> parts = new ArrayList<>();
        for (String name : new String[] {"To", "MessageID", "Action", "RelatesTo"}) {
            parts.add(new WSEncryptionPart(name, WSA, "Element"));
        }
        parts.add(new WSEncryptionPart("Timestamp", WSConstants.WSU_NS, "Element"));
        parts.add(new WSEncryptionPart("Body", WSConstants.URI_SOAP11_ENV, "Element"));
        return parts;
    }

    private static Document parse(String file) throws Exception {
        DocumentBuilderFactory factory = DocumentBuilderFactory.newInstance();
        factory.setNamespaceAware(true);
        DocumentBuilder builder = factory.newDocumentBuilder();
        return builder.parse(new File(file));
    }
}
