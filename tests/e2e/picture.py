"""Takes the picture in README.md: a task in Label Studio that the example named_entities has marked.

.cache/tests/bin/python tests/e2e/picture.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from browser import Browser
from conftest import ROOT, install, start_server
from connected import Connected
from hosting import Server
from label_studio import VERSION, LabelStudio
from rest import Api
from test_browser import log_in

PICTURE = ROOT / "docs" / "images" / "label-studio.png"
EXAMPLE = ROOT / "examples" / "named_entities"
TEXT = (
    "Marisa Teuber leaves Kestrel Shipping on 1 June 2025. Joaquim Reis, who ran the harbour office in"
    " Hull, takes over the ferry to Évora, which cost € 2.4 million. The Hull Trust will publish the"
    " contract; questions go to nils.arden@kestrel.example before March 3, 2025."
)


def tasks(file: str) -> list[dict[str, Any]]:
    read: list[dict[str, Any]] = json.loads((EXAMPLE / file).read_text(encoding="utf-8"))
    return read


def annotated(api: Api, server: Server) -> Connected:
    """A project with the text and the example's tasks, on whose annotations the model is trained."""
    # Not every machine has a font for emojis.
    listed = [task["data"] for task in tasks("tasks.json") if "🚢" not in task["data"]["text"]]
    shown = [{"data": {"text": TEXT}}, *({"data": data} for data in listed)]
    config = (EXAMPLE / "label_config.xml").read_text(encoding="utf-8")
    connected = Connected(api, server, shown, title="News", config=config)
    learned = tasks("annotations.json")
    ids = api.import_tasks(connected.project, [{"data": task["data"]} for task in learned])
    for number, task in zip(ids, learned, strict=True):
        for annotation in task["annotations"]:
            fields = {name: annotation[name] for name in ("result", "was_cancelled")}
            api.annotate(number, **fields)
    connected.settled()
    return connected


def main() -> None:
    install(VERSION)
    with tempfile.TemporaryDirectory() as root, LabelStudio() as studio, studio.api() as api:
        server = start_server(Path(root), EXAMPLE / "model.py")
        browser = Browser()
        try:
            connected = annotated(api, server)
            log_in(browser, studio)
            browser.resize(1180, 690)
            address = f"{studio.url}/projects/{connected.project}/data?task={connected.tasks[0]}"
            browser.open(address)
            browser.see_text("Kestrel Shipping")
            browser.save(PICTURE)
        finally:
            browser.close()
            server.stop()


if __name__ == "__main__":
    main()
