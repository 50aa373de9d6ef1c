"""Options of the test run."""

from collections.abc import Iterator

import pytest

import fastnn


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--exhaustive",
        action="store_true",
        help="test the accuracy of the elementary functions on every float32 and on a million float64 numbers",
    )


def pytest_report_header() -> str:
    return f"fastnn: kernels for {fastnn.kernels.selected}"


class Says:
    """Print what a file of tests is about when its first test begins: some take a minute."""

    def __init__(self, reporter: pytest.TerminalReporter) -> None:
        self.reporter, self.about, self.last = reporter, {}, ""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            text = getattr(getattr(item, "module", None), "__doc__", None) or ""
            self.about[item.location[0]] = text.partition("\n")[0]
        if len(self.about) > 10:
            counts = f"{len(session.items):,} tests in {len(self.about)} files, some minutes"
            self.reporter.write_line(
                f"{counts}: -n auto runs them side by side, --durations=10 says which take longest"
            )

    @pytest.hookimpl(trylast=True)  # behind the name of the file
    def pytest_runtest_logstart(self, location: tuple[str, int | None, str]) -> None:
        if location[0] != self.last:
            self.last = location[0]
            self.reporter.write(f"{self.about.get(self.last, '')}\n", flush=True)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and config.get_verbosity() == 0 and not config.getoption("numprocesses", None):
        config.pluginmanager.register(Says(reporter), "fastnn_says")


@pytest.fixture(autouse=True, scope="session")
def rows_are_read_where_they_lie() -> Iterator[None]:
    """Also on processors on which batches are gathered, so that tests take the same ways everywhere."""
    before, fastnn.kernels.far_reads = fastnn.kernels.far_reads, "fast"
    yield
    fastnn.kernels.far_reads = before


@pytest.fixture
def exhaustive(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--exhaustive"))
