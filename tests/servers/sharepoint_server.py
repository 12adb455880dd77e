"""A list of SharePoint, as its WSDL and manners say: pages with a position, attachments by
address, bytes by GET. In memory; it shares no code with the connector."""

import base64
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from aiohttp import web

NS = "{http://schemas.microsoft.com/sharepoint/soap/}"
USER, PASSWORD, LIST = "portaal", "wachtwoord", "Dossierstukken"


class SharePoint:
    """items: klant, folder and attachments by number. calls: what was asked."""

    def __init__(self) -> None:
        self.items: dict[int, tuple[str, str, dict[str, bytes]]] = {}
        self.calls: list[str] = []
        self.elsewhere = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/services11/_vti_bin/lists.asmx", self._serve)
        app.router.add_get("/services11/Lists/Attachments/{item}/{name:.*}", self._get)
        return app

    def _knows(self, request: web.Request) -> bool:
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return request.headers.get("Authorization") == f"Basic {basic}"

    async def _get(self, request: web.Request) -> web.Response:
        if not self._knows(request):
            raise web.HTTPUnauthorized
        self.calls.append("GET")
        told = self.items.get(int(request.match_info["item"]))
        name = request.match_info["name"]
        if told is None or name not in told[2]:
            raise web.HTTPNotFound
        return web.Response(body=told[2][name])

    async def _serve(self, request: web.Request) -> web.Response:
        if not self._knows(request):
            raise web.HTTPUnauthorized
        body = ET.fromstring(await request.text())[0][0]
        name = body.tag.removeprefix(NS)
        assert body.findtext(f"{NS}listName") == LIST
        self.calls.append(name)
        base = self.elsewhere or f"http://{request.host}/services11"
        told = self._list(body) if name == "GetListItems" else self._attachments(body, base)
        text = (
            '<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>'
            f'<{name}Response xmlns="{NS[1:-1]}"><{name}Result>{told}</{name}Result>'
            f"</{name}Response></soap:Body></soap:Envelope>"
        )
        return web.Response(text=text, content_type="text/xml")

    def _list(self, body: ET.Element) -> str:
        asked = {
            str(e[0].get("Name")): e[1].text or "" for e in body.findall(f"{NS}query/Query//Eq")
        }
        paging = body.find(f"{NS}queryOptions/QueryOptions/Paging")
        assert paging is not None
        after = paging.get("ListItemCollectionPositionNext", "")
        start = int(after.rpartition("=")[2]) if after.startswith("Paged=TRUE&p_ID=") else 0
        most = int(body.findtext(f"{NS}rowLimit") or 0)
        found = [
            (n, klant, folder, files)
            for n, (klant, folder, files) in sorted(self.items.items())
            if klant == asked["Klant"] and asked.get("ID", str(n)) == str(n) and n > start
        ]
        some = found[:most]
        more = f"Paged=TRUE&p_ID={some[-1][0]}" if len(found) > most else ""
        told = f" ListItemCollectionPositionNext={quoteattr(more)}" if more else ""
        rows = "".join(
            f'<z:row ows_ID="{n}" ows_Title="Stuk {n}" ows_Modified="2025-03-01T10:00:00Z"'
            f" ows_Klant={quoteattr(k)} ows_Map={quoteattr(m)}"
            f' ows_Attachments="{1 if files else 0}"/>'
            for n, k, m, files in some
        )
        return (
            '<listitems xmlns:rs="urn:schemas-microsoft-com:rowset" xmlns:z="#RowsetSchema">'
            f'<rs:data ItemCount="{len(some)}"{told}>{rows}</rs:data></listitems>'
        )

    def _attachments(self, body: ET.Element, base: str) -> str:
        number = int(body.findtext(f"{NS}listItemID") or 0)
        files = self.items[number][2] if number in self.items else {}
        found = (f"{base}/Lists/Attachments/{number}/{quote(n)}" for n in files)
        rows = "".join(f"<Attachment>{escape(url)}</Attachment>" for url in found)
        return f"<Attachments>{rows}</Attachments>"
