// A package on node-soap: node soap_client.mjs <url> <key>, with on standard input
//   {"stuk": {...}, "files": {name: {filename, base64}}, "way": "inline" | "mtom" | "soap12"}
// Prints what came of UploadMessage and GetUpdatedMessages as JSON.
import soap from 'soap';

const [url, key] = process.argv.slice(2);
let text = '';
for await (const piece of process.stdin) text += piece;
const { stuk, files, way } = JSON.parse(text);

const client = await soap.createClientAsync(`${url}?wsdl`, { endpoint: url, forceSoap12Headers: way === 'soap12' });
client.setSecurity(new soap.WSSecurity('pakket', key, { passwordType: 'PasswordText' }));
const port = client.PakkettenService[way === 'soap12' ? 'Soap12' : 'Soap11'];

const call = (name, args, options) => new Promise((done) => {
  port[name](args, (error, result) => {
    done(error ? { fault: error.root?.Envelope?.Body?.Fault ?? String(error) } : result);
  }, options);
});

const attachments = [];
const document = Object.entries(files).map(([naam, { filename, base64 }]) => {
  if (way !== 'mtom') return { naam, bestandsnaam: filename, inhoud: base64 };
  attachments.push({
    mimetype: 'application/octet-stream', contentId: `${naam}@node`, name: filename,
    body: Buffer.from(base64, 'base64'),
  });
  const include = { attributes: { 'xmlns:xop': 'http://www.w3.org/2004/08/xop/include', href: `cid:${naam}@node` } };
  return { naam, bestandsnaam: filename, inhoud: { 'xop:Include': include } };
});
const options = way === 'mtom' ? { attachments, forceMTOM: true } : {};
const put = await call('UploadMessage', { berichtId: `node-${way}`, stuk, document }, options);
const updated = await call('GetUpdatedMessages', { vanaf: 0, aantal: 500 }, {});
console.log(JSON.stringify({ put, updated }));
