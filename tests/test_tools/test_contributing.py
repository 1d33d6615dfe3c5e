"""Files for those who contribute: the workflow fits what the package supports, issue forms ask for the doctor."""

import re

import pytest
import yaml

from .conftest import ROOT

FORMS = sorted(path.name for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.stem != "config")


def test_the_workflow_runs_ci_on_every_python_of_the_package():
    (job,) = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text())["jobs"].values()
    listed = re.findall(r"Python :: (3\.\d+)", (ROOT / "setup.py").read_text())
    assert job["strategy"]["matrix"]["python"] == listed
    (run,) = [step for step in job["steps"] if "run" in step]
    assert run["run"].split()[-1] == ".ci/run" and (ROOT / ".ci/run").is_file()


@pytest.mark.parametrize("name", FORMS)
def test_an_issue_form_asks_for_the_doctors_output(name):
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE" / name).read_text())
    assert form["name"] and form["description"]
    needed = [part["attributes"] for part in form["body"] if part.get("validations", {}).get("required")]
    assert any("python -m mmseg_allspark.doctor" in part.get("description", "") for part in needed)
