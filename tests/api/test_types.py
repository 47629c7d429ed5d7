"""The package is typed for its users: mypy --strict accepts a script against the installed wheel, and sees mistakes."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("user_script.py")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_script_is_strictly_typed_against_the_wheel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT]
    subprocess.run(command, check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("wetstream-*.whl")
    assert "wetstream/py.typed" in zipfile.ZipFile(wheel).namelist()
    # An environment that has the wheel, and the packages that it needs from the one of the tests.
    venv.create(tmp_path / "venv", with_pip=False)
    (packages,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    zipfile.ZipFile(wheel).extractall(packages)
    (own,) = [path for path in sys.path if path.endswith("site-packages")][:1]
    (packages / "tests.pth").write_text(own + "\n")

    def mypy(script: Path) -> str:
        options = [
            "--strict",
            "--python-executable",
            tmp_path / "venv" / "bin" / "python",
            "--config-file",
            "/dev/null",
        ]
        done = subprocess.run(
            [sys.executable, "-m", "mypy", *options, script], cwd=tmp_path, capture_output=True, text=True
        )
        return done.stdout

    user = tmp_path / "user.py"
    user.write_text(SCRIPT.read_text())
    assert "Success" in mypy(user), mypy(user)
    user.write_text(
        SCRIPT.read_text().replace("limit=1", "limit='1'").replace("min_df=2).to_arrow", "min_df=2).to_arow")
    )
    mistakes = mypy(user)
    assert '"limit"' in mistakes and "to_arow" in mistakes
