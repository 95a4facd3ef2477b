"""Where users keep their classes: executors find what the script that runs a node finds."""

import subprocess
import sys
from pathlib import Path

CLASS = """
class {name}(fleet.Data):
    n: int = 0

    @fleet.command
    def add(self):
        self.n += 1
        return self.n
"""
SCRIPT = """
import sys
import fleet
sys.path.insert(0, "lib")
from beside import Beside
from hidden import Hidden
{in_main}
cell = {{"__name__": "__main__", "fleet": fleet}}
exec({in_cell!r}, cell)
own = {{"secret": "a secret of a script, long enough"}}
with fleet.Node("n1", "127.0.0.1:0", **own) as node, fleet.connect(node.address, **own) as client:
    for data_class in (Beside, Hidden, InMain, cell["InCell"]):
        group = client.create_group(data_class.__name__, data_class, replicas=1)
        print(data_class.__module__, data_class.__name__, group.add(), group.add())
"""


def test_classes_are_found_beside_a_script_in_it_in_a_cell_and_where_it_looks(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "beside.py").write_text("import fleet\n" + CLASS.format(name="Beside"))
    (tmp_path / "lib" / "hidden.py").write_text("import fleet\n" + CLASS.format(name="Hidden"))
    text = SCRIPT.format(in_main=CLASS.format(name="InMain"), in_cell=CLASS.format(name="InCell"))
    (tmp_path / "script.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == [
        "beside Beside 1 2",
        "hidden Hidden 1 2",
        "__main__ InMain 1 2",
        "__main__ InCell 1 2",
    ], done.stderr
