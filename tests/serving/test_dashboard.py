"""The dashboard in a real browser, while a real stream runs: nothing is mocked, and its console stays empty.

Needs Debian's chromium (docs/serving.md says how to install it); without it these tests fail, they never skip. What the
page looked like is kept in .pytest_cache/d/screenshots.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from redis import Redis

from conf.addresses import RedisServers
from conf.settings import Settings
from producers.sample.writer import write_sample
from serving.queries import View
from tests.harness import Pipeline
from tests.serving.pipelines import Made, Running, fill, served
from wetstream.pipeline.serve import make_server
from wetstream.servers import embedded

pytestmark = pytest.mark.browser
CHROMIUM = "/usr/bin/chromium"
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]
SLOW_MS = 150_000  # a busy machine compiles the kernel and starts Spark in that


@pytest.fixture
def browser() -> Iterator[Browser]:
    assert Path(CHROMIUM).exists(), "no browser: apt-get install chromium (docs/serving.md)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Page]]:
    """Opens a page whose console has to stay empty, and that may only talk to its own server."""
    said: list[str] = []

    def open_page(url: str, width: int = 1360, height: int = 900, scheme: str = "light", brought: str = "$^") -> Page:
        """`brought`: what the test itself brings about, so that the browser may say it."""
        origin = "/".join(url.split("/")[:3]) + "/"
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]

        def hear(line: ConsoleMessage) -> None:
            if line.type in ("error", "warning") and not re.search(brought, line.text):
                said.append(line.text)

        page.on("console", hear)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on(
            "request",
            lambda asked: said.append(asked.url) if not asked.url.startswith((origin, "data:", "blob:")) else None,
        )
        page.goto(url)
        return page

    yield open_page
    assert said == []


def keep(request: pytest.FixtureRequest, page: Page, name: str) -> None:
    page.wait_for_timeout(700)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "wider than the screen"
    found = Axe().run(page, options={"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})
    assert found.violations_count == 0, found.generate_report()
    page.screenshot(path=str(request.config.cache.mkdir("screenshots") / f"{name}.png"), full_page=True)


def test_the_page_follows_a_stream(
    make_pipeline: Callable[..., Pipeline],
    open_page: Callable[..., Page],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    pipeline = make_pipeline("english")
    (tmp_path / "s").mkdir()
    first, second = (write_sample(tmp_path / "s", records=400, file=number).path for number in range(2))
    pipeline.ingest(first)
    stream = pipeline.make_stream()
    streaming = threading.Thread(target=stream.run)
    settings = pipeline.settings.model_copy(update={"serve": pipeline.settings.serve.model_copy(update={"port": 0})})
    server, sources = make_server(settings)
    listening = server.listen()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
    serving = threading.Thread(target=lambda: server.run(sockets=[listening]))
    try:
        sources.start()
        serving.start()
        page = open_page(url)
        expect(page.locator("#pill")).to_have_text("nothing counted yet", timeout=SLOW_MS)
        streaming.start()
        expect(page.locator("#figure-records")).to_have_text("401", timeout=SLOW_MS)
        expect(page.locator("#pill")).to_have_class("pill live")
        assert page.evaluate("window.here = true")
        pipeline.ingest(second)
        expect(page.locator("#figure-records")).to_have_text("802", timeout=SLOW_MS)
        assert page.evaluate("window.here"), "the page was loaded again"
        expect(page.locator("#sources .source")).to_have_count(2, timeout=SLOW_MS)
        expect(page.locator("#sources .what").first).to_have_text("done", timeout=SLOW_MS)
        work(page, pipeline)
        keep(request, page, "wide")
        keep(request, open_page(url, 390, 844), "phone")
        keep(request, open_page(url, scheme="dark"), "dark")
        stream.stop()
        streaming.join(60)
        expect(page.locator("#banner")).to_contain_text("No stream is running", timeout=SLOW_MS)
        keep(request, page, "stream-down")
    finally:
        stream.stop()
        server.end()
        sources.stop()
        serving.join(20)
        if streaming.is_alive():
            streaming.join(60)


def work(page: Page, pipeline: Pipeline) -> None:
    """Search, sort, slider and look-up, by keyboard where a hand would use it."""
    rows = page.locator("#words tbody tr")
    expect(rows.nth(50)).to_be_attached(timeout=SLOW_MS)
    page.locator("#words-search").fill("th")
    expect(page.locator("#words-count")).to_contain_text("found")
    expect(rows.first.locator("td").first).to_contain_text("th")
    page.locator("#words-search").fill("")
    page.get_by_role("button", name="documents").first.click()
    expect(page.locator("#words th[aria-sort=descending]")).to_contain_text("documents")
    page.get_by_role("button", name="word", exact=True).first.click()
    expect(page.locator("#words th[aria-sort=ascending]")).to_contain_text("word")
    page.get_by_role("button", name="times").click()

    slider, words = page.locator("#min-df"), page.locator("#view-words")
    everything = f"{pipeline.live.vocabulary_size()['words']:,}"
    expect(words).to_have_text(everything, timeout=SLOW_MS)  # the panel has come after the last micro-batch
    slider.focus()
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    low = int(page.locator("#min-df-out").inner_text().replace(",", ""))
    assert low > 1 and words.inner_text() != everything
    exact = pipeline.live.vocabulary_size(View(low))
    assert words.inner_text() == f"{exact['words']:,}"
    assert page.locator("#view-tokens").inner_text() == f"{exact['tokens']:,}"

    word = pipeline.live.top(1)["words"][0]
    page.locator("#look-word").fill(f"{word['word']} qqqq")
    page.keyboard.press("Enter")
    found = page.locator("#look-found tbody tr")
    expect(found.first).to_contain_text(f"{word['tf']:,}")
    expect(found.nth(1)).to_contain_text("never")
    page.locator("#batches-box summary").click()
    expect(page.locator("#batches tbody tr").first).to_be_visible()
    page.locator("#chart-lengths svg").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#chart-lengths .tip")).to_contain_text("tokens")
    page.locator("#seen-tabs button", has_text="domain").click()
    expect(page.locator("#seen")).to_contain_text("com")
    page.locator("#source-tabs button", has_text="crawls").click()
    expect(page.locator("#sources .source")).to_have_count(1)
    page.locator("#source-tabs button", has_text="files").click()


def test_page_shows_the_connection_state(
    made: Made,
    serve: Callable[..., Running],
    open_page: Callable[..., Page],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Nothing yet, live, stale, Redis away, back, server gone: each in words, and none needs a reload."""
    redis_url = embedded.up(tmp_path, kafka=False, redis=True, log=lambda line: None).redis_url
    assert redis_url is not None
    made.client = Redis.from_url(redis_url.get_secret_value())

    try:
        server = serve(lambda: RedisServers(redis_url))
        page = open_page(server.url + "/", brought="503|ERR_|Failed to fetch")
        pill, banner = page.locator("#pill"), page.locator("#banner")
        expect(banner).to_contain_text("wetstream run SOURCE", timeout=SLOW_MS)
        keep(request, page, "nothing-yet")
        made.add({"alpha": 3, "<b>bold</b>": 1}, {"alpha": 1, "x" * 150: 1}, rejected=1)
        made.stream_runs()
        expect(pill).to_have_text("live, complete", timeout=SLOW_MS)
        expect(banner).to_be_hidden()
        # Words are text, whatever they hold, and a long one makes nothing wider.
        expect(page.locator("#words")).to_contain_text("<b>bold</b>", timeout=SLOW_MS)
        made.stream_runs(lag=12_345)
        expect(pill).to_have_text("catching up, 12.3K waiting, about 16 min left", timeout=SLOW_MS)
        keep(request, page, "catching-up")
        made.client.hset(made.keys.as_of, "time", repr(time.time() - 40))
        made.stream_runs(lag=12_345)
        expect(pill).to_have_text("stale", timeout=SLOW_MS)
        expect(banner).to_contain_text("12,345 offsets wait")
        keep(request, page, "stale")
        embedded.down(tmp_path, lambda line: None)
        expect(pill).to_have_text("Redis is away", timeout=SLOW_MS)
        expect(page.locator("#figure-documents")).to_have_text("2")
        expect(page.locator("#words tbody")).to_contain_text("alpha")
        keep(request, page, "redis-away")
        again = embedded.up(tmp_path, kafka=False, redis=True, log=lambda line: None)
        redis_url = again.redis_url
        expect(pill).not_to_have_text("Redis is away", timeout=SLOW_MS)
        server.stop()
        expect(pill).to_have_text("no connection", timeout=SLOW_MS)
        keep(request, page, "server-gone")
    finally:
        embedded.down(tmp_path, lambda line: None)


def test_what_is_set_stands_in_the_address(
    made: Made, serve: Callable[..., Running], open_page: Callable[..., Page], request: pytest.FixtureRequest
) -> None:
    """Sliders and search act on one list; a reload and a colleague see the same; lists open and can be saved."""
    for _ in range(3):
        made.add({"alpha": 2, "also": 1})
    made.add({"alone": 1, "beta": 1, "=cmd": 1})
    made.stream_runs()
    url = serve().url + "/"
    page = open_page(url)
    rows = page.locator("#words tbody tr")
    expect(rows).to_have_count(5, timeout=SLOW_MS)
    page.locator("#words-search").fill("al")
    expect(rows).to_have_count(3)
    page.locator("#min-df").focus()
    page.keyboard.press("End")
    expect(rows).to_have_count(2)
    assert page.locator("#min-df").get_attribute("aria-valuetext") == "in at least 3 documents"
    page.locator("#seen-tabs button", has_text="day").click()
    assert page.url == f"{url}#q=al&min_df=3&seen=days"
    keep(request, page, "thresholds")
    page.reload()
    for shown in (page, open_page(page.url)):
        expect(shown.locator("#words tbody tr")).to_have_count(2, timeout=SLOW_MS)
        expect(shown.locator("#words-search")).to_have_value("al")
        expect(shown.locator("#min-df-out")).to_have_text("3")
        expect(shown.locator("#seen-tabs button[aria-pressed=true]")).to_have_text("day")
    page.locator("#words-search").fill("")
    page.locator("#min-df").focus()
    page.keyboard.press("Home")
    expect(rows).to_have_count(5)
    with page.expect_download() as saved:
        page.locator("[data-save=words]").click()
    lines = Path(saved.value.path()).read_text().splitlines()
    assert saved.value.suggested_filename == "wetstream-words.csv"
    assert lines[:2] == ["word,tf,df,idf", f"alpha,6,3,{math.log(4 / 3):.6f}"] and "'=cmd,1,1," in "\n".join(lines)


def test_the_menu_switches_between_the_pipelines_of_a_home(
    make_settings: Callable[..., Settings],
    redis_client: Redis,
    open_page: Callable[..., Page],
    request: pytest.FixtureRequest,
) -> None:
    one = make_settings()
    two = make_settings(pipeline=f"{one.pipeline}-two")
    fill(one, redis_client, 1)
    with served(one) as http:
        page = open_page(f"{http.base_url}/")
        expect(page.locator("#pipeline")).to_have_text(one.pipeline, timeout=SLOW_MS)
        expect(page.locator("#pipelines")).to_be_hidden()  # there is nothing to choose from
        page.close()
    fill(two, redis_client, 2)
    with served(one) as http:
        for width, scheme, name in ((1360, "light", "wide"), (390, "dark", "phone-dark")):
            page = open_page(f"{http.base_url}/", width, scheme=scheme)
            expect(page.locator("#figure-records")).to_have_text("1", timeout=SLOW_MS)
            menu = page.get_by_label("Pipeline")
            assert menu.locator("option").all_inner_texts() == [one.pipeline, two.pipeline]
            menu.select_option(two.pipeline)
            expect(page.locator("#figure-records")).to_have_text("2", timeout=SLOW_MS)
            assert page.url == f"{http.base_url}/pipelines/{two.pipeline}/"
            expect(page.locator("#banner")).to_contain_text(f"wetstream stream --pipeline {two.pipeline}")
            expect(page.locator("#words tbody tr")).to_have_count(1, timeout=SLOW_MS)
            keep(request, page, f"pipelines-{name}")
            page.reload()
            expect(page.locator("#figure-records")).to_have_text("2", timeout=SLOW_MS)
            page.get_by_label("Pipeline").select_option(one.pipeline)
            expect(page.locator("#figure-records")).to_have_text("1", timeout=SLOW_MS)
            page.close()


def test_the_page_asks_for_the_token(
    made: Made, serve: Callable[..., Running], open_page: Callable[..., Page], request: pytest.FixtureRequest
) -> None:
    made.add({"alpha": 3})
    made.stream_runs()
    page = open_page(serve(token="0123456789abcdef").url + "/", brought="401")
    dialog = page.get_by_role("dialog")
    for given in ("wrong", "0123456789abcdef"):
        expect(dialog).to_be_visible(timeout=SLOW_MS)
        expect(page.locator("#token-wrong")).to_be_visible(visible=given != "wrong")
        keep(request, page, "token")
        page.get_by_label("Token", exact=True).fill(given)
        page.keyboard.press("Enter")
    expect(page.locator("#figure-documents")).to_have_text("1", timeout=SLOW_MS)
    expect(dialog).to_be_hidden()
    # It stays in the tab, and nowhere else.
    page.reload()
    expect(page.locator("#figure-documents")).to_have_text("1", timeout=SLOW_MS)


def test_everything_is_reachable_by_keyboard_with_visible_focus(
    made: Made, serve: Callable[..., Running], open_page: Callable[..., Page], request: pytest.FixtureRequest
) -> None:
    made.add({"alpha": 3, "beta": 1}, {"alpha": 1})
    made.stream_runs()
    page = open_page(serve().url + "/")
    expect(page.locator("#words tbody tr")).to_have_count(2, timeout=SLOW_MS)
    reached, unseen = set(), []
    for _ in range(40):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(FOCUS)
        reached.add(name)
        if name != "BODY" and not outline:
            unseen.append(name)
    wanted = {"theme", "words-search", "words-how", "min-df", "max-df", "look-word", "SUMMARY", "A", "svg"}
    assert wanted <= reached and unseen == []
    page.locator("#words-search").focus()
    keep(request, page, "focus")


FOCUS = """() => { const at = document.activeElement, style = getComputedStyle(at);
  return [at.id || at.tagName, style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1]; }"""
