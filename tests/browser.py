"""A browser without a window: what do people see? Needs Chromium or Chrome, and for a comment two npm libraries."""

import os
import shutil
import subprocess
from html import escape
from pathlib import Path

import harness

NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=20000"),
)
GITHUB = """
body { max-width: 56rem; margin: 1rem auto; padding: 1rem; color: #1f2328;
  font: 14px/1.5 Helvetica, Arial, sans-serif; }
table { border-collapse: collapse; display: block; overflow: auto; margin: 0 0 16px; }
th, td { border: 1px solid #d1d9e0; padding: 6px 13px; } tr:nth-child(2n) td { background: #f6f8fa; }
code { font: 85% ui-monospace, monospace; background: #818b981f; border-radius: 6px; padding: .2em .4em; }
sub { color: #59636e; } .drawn svg { width: 24rem; }
"""
RENDER = """
const body = document.querySelector("main");
body.innerHTML = marked.parse(document.querySelector("textarea").value, { gfm: true, breaks: true });
document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
document.querySelectorAll("code.language-mermaid").forEach((code) => {
  const box = document.createElement("div");
  box.className = "mermaid";
  box.textContent = code.textContent;
  code.parentElement.replaceWith(box);
});
mermaid.initialize({ startOnLoad: false, securityLevel: "strict" });
// Mermaid measures its texts in place, so the charts become small only when they are drawn.
mermaid.run().then(() => { body.className = "drawn"; });
"""


def dom(page: Path) -> str:
    """Return the page's HTML after its scripts have run."""
    return _chromium(page, "--dump-dom")


def picture(page: Path, target: Path, width: int, height: int, scale: int = 1) -> None:
    """Write what the browser shows as PNG."""
    _chromium(page, f"--window-size={width},{height}", f"--force-device-scale-factor={scale}", f"--screenshot={target}")


def phone(page: str, target: Path, height: int) -> Path:
    """Write a page that shows another on a phone and, as `data-scroll`, how wide it wants to be; return its path.

    A frame, since a window without a screen is never narrower than 500 pixels.
    """
    measure = "frame.onload = () => { frame.dataset.scroll = frame.contentDocument.documentElement.scrollWidth; };"
    frame = f'<iframe id="frame" style="border:0;width:390px;height:{height}px" srcdoc="{escape(page)}"></iframe>'
    target.write_text(f'<!doctype html><body style="margin:0">{frame}<script>{measure}</script>')
    return target


def comment(markdown: str, target: Path) -> Path:
    """Write a page that renders a comment much as GitHub does, its charts with the real Mermaid; return its path."""
    scripts = "".join(f'<script src="{path.as_uri()}"></script>' for path in _libraries())
    source = f"<textarea hidden>\n{escape(markdown)}</textarea><main></main>"
    head = f'<meta charset="utf-8"><style>{GITHUB}</style>'
    target.write_text(f"<!doctype html><head>{head}</head><body>{source}{scripts}<script>{RENDER}</script></body>")
    return target


def _libraries() -> list[Path]:
    folder = Path(os.environ.get("NPM_LIBRARIES", "none"), "node_modules")
    files = [folder / "marked/lib/marked.umd.js", folder / "mermaid/dist/mermaid.min.js"]
    if not all(file.exists() for file in files):
        harness.missing("NPM_LIBRARIES, the folder of `npm install --prefix FOLDER marked mermaid`,")
    return files


def _chromium(page: Path, *flags: str) -> str:
    found = [path for path in map(shutil.which, NAMES) if path]
    if not found:
        harness.missing("chromium")
    profile = f"--user-data-dir={page.parent / 'profile'}"
    done = subprocess.run(
        [found[0], *QUIET, profile, *flags, page.as_uri()], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
