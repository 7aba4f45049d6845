"""Release notes: what a reader learns of the first release, of another model and of another service, and of waivers."""

import re

import pytest
from gitops.release import notes
from gitops.review.record import Contract
from gitops.tags import Release
from laptop import Laptop
from released import IMAGE, release
from test_golden import matches_golden

pytestmark = pytest.mark.slow

WAIVER = 'waivers: [{metric: roc_auc, reason: "a|b `c` @acme <img src=x>", who: "@dana", until: 2099-01-31}]\n'


def boost(project: Laptop) -> str:
    """Release another model, once the first one is released."""
    release(project, "1.0.0", "the first release")
    project.replace("params.yaml", "kind: linear ", "kind: gradient_boosting ")
    project.run("dvc repro --quiet")
    return release(project, "1.1.0", "another model")


def test_the_notes_of_another_model_read_like_this(on_laptop: Laptop) -> None:
    on_laptop.run("python -m gitops store push")
    text = boost(on_laptop)
    matches_golden(text, "release-notes.md")
    matches_golden(on_laptop.read("dist/model-card.md"), "model-card.md")
    assert text.startswith("**churn-model 1.1.0: a new model in the place of 1.0.0's.**\n")
    assert "✅ **Released**: no worse than the champion" in text
    assert "| `model.kind` | `linear` | `gradient_boosting` |" in text
    rows = re.findall(r"\| `roc_auc` \| (\d\.\d+) \| (\d\.\d+) \|", text)
    assert len(rows) == 1 and rows[0][0] != rows[0][1]
    assert f"--publish 3000:3000 {IMAGE}\n" in text and len(text) < 125_000
    page = on_laptop.read("dist/report.html")
    assert "<title>Model review: Released</title>" in page and "gates of the release" in page and "<svg" in page


def test_the_first_release_is_compared_with_nothing(on_laptop: Laptop) -> None:
    text = release(on_laptop, "1.0.0", "the first release", image="")
    assert text.startswith("**churn-model 1.0.0: the first release.** ")
    assert "✅ **Released**: the first model reaches every floor" in text
    assert "What changed" not in text and "the factory changes" not in text
    assert 'bentoml import "$PWD/churn-model-1.0.0.bento" && bentoml serve churn-model:1.0.0 --host 127.0.0.1\n' in text
    assert "This release made no image" in text and "docker" not in text and "rollback" not in text


def test_the_same_model_says_so_and_its_waivers_are_told(on_laptop: Laptop) -> None:
    release(on_laptop, "1.0.0", "the first release")
    on_laptop.replace("params.yaml", "max_rows: 1000", "max_rows: 10")
    on_laptop.write("gates.yaml", on_laptop.read("gates.yaml") + WAIVER)
    on_laptop.run("dvc repro --quiet")
    text = release(on_laptop, "1.0.1", "the same model, with other code, settings or dependencies")
    assert text.startswith("**churn-model 1.0.1: the same model as 1.0.0.** Why there is a release: `the same model, ")
    assert "✅ **Released**: the model does not change" in text
    assert (
        "## Known losses that were accepted\n\n- `roc_auc`: `a¦b ˋcˋ @acme <img src=x>` (`@dana`, until 2099-01-31)"
        in text
    )


def test_a_loss_that_the_gates_waive_is_a_remark_and_not_an_objection(on_laptop: Laptop) -> None:
    on_laptop.run("python -m gitops store push")
    release(on_laptop, "1.0.0", "the first release")
    on_laptop.replace("gates.yaml", "floor: 0.80 ", "floor: 0.99 ")
    on_laptop.write("gates.yaml", on_laptop.read("gates.yaml") + WAIVER)
    on_laptop.replace("params.yaml", "kind: linear ", "kind: gradient_boosting ")
    on_laptop.run("dvc repro --quiet")
    text = release(on_laptop, "1.1.0", "another model")
    assert "⚠️ **Released, with remarks**: `roc_auc 0.8" in text and "is below its floor 0.99" in text
    card = on_laptop.read("dist/model-card.md")
    assert "- `roc_auc 0.8" in card and "waived until 2099-01-31" in card


def test_callers_learn_what_breaks_them() -> None:
    one = Release("churn-model@v2.0.0", "2.0.0", "c" * 40, "", "the API contract breaks its callers", "i", "")
    assert notes.callers(Contract("breaking", ("Row.tenure is `gone` <b>",))) == [
        "**Programs that ask the model must change first:**",
        "- `Row.tenure is ˋgoneˋ <b>`",
    ]
    assert "something new that they can send" in notes.callers(Contract("compatible", ()))[0]
    assert notes.environments(one, one) == [
        "This release made no image, so no environment runs it by itself. To go back, serve the Bento of 2.0.0."
    ]
