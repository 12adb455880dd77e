// An AFAS-shaped SOAP server on another stack (node-soap), from the WSDLs of config/wsdl.
//
//   node afas_server.mjs <folder of the WSDLs>
//
// Prints {"port": n} when it listens on 127.0.0.1, and ends when its standard input closes.
// What it holds and how it misbehaves is set by POST /admin with one JSON object:
//   {"put": {klant, type, name, title?, base64? | zeros?, when?, item?}}  -> {"item", "file"}
//   {"remove": {item, file}}   {"clear": true}
//   {"set": {token?, fault?, status?, wrap?}}
//     fault: text of a Fault that every call answers; status: an HTTP status without SOAP;
//     wrap: base64 in lines of 76.
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import sax from 'sax';
import soap from 'soap';

const wsdl = (name) => fs.readFileSync(path.join(process.argv[2], name), 'utf8');
const state = { token: 'A'.repeat(64), fault: null, status: null, wrap: false };
const items = new Map(); // number -> {SbId, SbTy, Ds, DaSe, BcCd, files: Map}
let numbers = 7000;

const escape = (text) =>
  String(text).replace(/[<>&"']/g, (c) => `&#${c.charCodeAt(0)};`);

function refuse(text) {
  throw { Fault: { faultcode: 'soap:Server', faultstring: text, statusCode: 500 } };
}

function checked(args) {
  if (state.fault) refuse(state.fault);
  if (args.token !== `<token><version>1</version><data>${state.token}</data></token>`) {
    refuse('Invalid token');
  }
}

// [[{field, operator, value}, ...], ...]: filters are alternatives, fields hold together.
function filters(xml) {
  const found = [];
  let field = null;
  const parser = sax.parser(true);
  parser.onopentag = (tag) => {
    if (tag.name === 'Filter') found.push([]);
    if (tag.name === 'Field') {
      field = { field: tag.attributes.FieldId, operator: tag.attributes.OperatorType, value: '' };
      found.at(-1).push(field);
    }
  };
  parser.ontext = (text) => { if (field) field.value += text; };
  parser.onclosetag = () => { field = null; };
  parser.onerror = (error) => refuse(`Invalid filter: ${error.message}`);
  if (xml) parser.write(xml).close();
  return found;
}

// As in Profit: ";" parts alternatives, "%" stands for anything.
const matches = (value, wanted) =>
  wanted.split(';').some((one) => one === value || (one.includes('%') && value.includes(one.replaceAll('%', ''))));

function getData(args) {
  checked(args);
  const asked = filters(args.filtersXml);
  const columns = ['SbId', 'SbTy', 'Ds', 'DaSe', 'BcCd'];
  const rows = [...items.values()]
    .filter((row) => asked.length === 0
      || asked.some((all) => all.every((f) => matches(row[f.field] ?? '', f.value))))
    .sort((a, b) => Number(a.SbId) - Number(b.SbId))
    .slice(args.skip, args.skip + args.take)
    .map((row) => `<${args.connectorId}>${columns.map((c) => `<${c}>${escape(row[c])}</${c}>`).join('')}</${args.connectorId}>`);
  return { GetDataWithOptionsResult: `<AfasGetConnector>${rows.join('')}</AfasGetConnector>\n` };
}

function attachmentInfo(args) {
  checked(args);
  const files = items.get(String(args.subjectID))?.files ?? new Map();
  const found = [...files].map(([id, f]) => `  <Attachment fileId="${id}" filename="${escape(f.name)}" />\n`);
  return {
    GetSubjectAttachmentInfoResult:
      found.length ? `<SubjectAttachmentInfo>\n${found.join('')}</SubjectAttachmentInfo>` : '<SubjectAttachmentInfo />',
  };
}

function attachment(args) {
  checked(args);
  const file = items.get(String(args.subjectID))?.files.get(args.fileId);
  if (!file) refuse('Attachment not found');
  let text = file.data.toString('base64');
  if (state.wrap) text = text.replace(/.{76}/g, '$&\r\n');
  return { GetAttachmentResult: text };
}

// A KnSubject with one attachment: what AFAS' UpdateConnector makes of it.
function execute(args) {
  checked(args);
  if (args.connectorType !== 'KnSubject') refuse('UpdateConnector not found');
  const told = {};
  let tag = null;
  const parser = sax.parser(true);
  parser.onopentag = (found) => { tag = found.name; };
  parser.ontext = (text) => { told[tag] = (told[tag] ?? '') + text; };
  parser.onclosetag = () => { tag = null; };
  parser.onerror = (error) => refuse(`Invalid XML: ${error.message}`);
  parser.write(args.dataXml).close();
  const made = put({ klant: told.BcId, type: told.StId, name: told.FileName, title: told.Ds, base64: told.FileStream });
  return { ExecuteResult: `<results><KnSubject><SbId>${made.item}</SbId></KnSubject></results>` };
}

function put({ klant, type, name, title, base64, zeros, when, item }) {
  const number = String(item ?? ++numbers);
  if (!items.has(number)) {
    items.set(number, {
      SbId: number, SbTy: type, Ds: title ?? name, DaSe: when ?? '2024-03-01T10:00:00', BcCd: klant, files: new Map(),
    });
  }
  const file = crypto.randomBytes(16).toString('hex').toUpperCase();
  const data = zeros ? Buffer.alloc(zeros) : Buffer.from(base64 ?? '', 'base64');
  items.get(number).files.set(file, { name, data });
  return { item: number, file };
}

function admin(body) {
  if (body.set) Object.assign(state, body.set);
  if (body.clear) items.clear();
  if (body.remove) items.get(body.remove.item)?.files.delete(body.remove.file);
  return body.put ? put(body.put) : {};
}

async function read(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return JSON.parse(Buffer.concat(pieces).toString());
}

const server = http.createServer(async (request, response) => {
  if (request.url !== '/admin') {
    response.writeHead(404).end();
    return;
  }
  const answer = admin(await read(request));
  response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(answer));
});

// Before node-soap, which answers whatever comes to its own paths.
const emit = server.emit;
server.emit = function (name, request, response) {
  if (name === 'request' && state.status && request.url !== '/admin') {
    response.writeHead(state.status, { 'Content-Type': 'text/html' }).end('<html><body><p>Sorry</body></html>');
    return true;
  }
  return emit.apply(this, arguments);
};

server.listen(0, '127.0.0.1', () => {
  soap.listen(server, '/profitservices/appconnectorget.asmx', {
    AppConnectorGet: { AppConnectorGetSoap: { GetDataWithOptions: getData } },
  }, wsdl('afas-get.wsdl'));
  soap.listen(server, '/profitservices/appconnectorsubject.asmx', {
    AppConnectorSubject: {
      AppConnectorSubjectSoap: { GetSubjectAttachmentInfo: attachmentInfo, GetAttachment: attachment },
    },
  }, wsdl('afas-subject.wsdl'));
  soap.listen(server, '/profitservices/appconnectorupdate.asmx', {
    AppConnectorUpdate: { AppConnectorUpdateSoap: { Execute: execute } },
  }, wsdl('afas-update.wsdl'));
  console.log(JSON.stringify({ port: server.address().port }));
});
process.stdin.resume().on('end', () => process.exit(0));
