"""The parts of the driver that only compute."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import flame  # noqa: E402
import network  # noqa: E402
import plots  # noqa: E402
import procs  # noqa: E402
import rows  # noqa: E402
import senders  # noqa: E402
import tables  # noqa: E402


def samples(rates):
    """A sample every quarter of a second, in kbit/s."""
    step = network.STEP
    return [((number + 1) * step, {"media_bytes": kbps * 125 * step, "freezes": 0, "gap_ms": 33.0}, step)
            for number, kbps in enumerate(rates)]


class Figures(unittest.TestCase):
    def test_a_rate_is_reached_when_it_holds_for_a_second(self):
        one_peak = [300] * 4 + [3000] + [300] * 4
        self.assertIsNone(network.reached(samples(one_peak), 2700))
        self.assertEqual(network.reached(samples(one_peak + [2800] * 4), 2700), 3.25)

    def test_the_way_back_counts_from_the_step(self):
        line = [3000] * 8 + [500] * 8 + [1500] * 4 + [2900] * 8
        self.assertEqual(network.reached(samples(line), 2700, begin=4.0), 2.0)
        self.assertEqual(round(network.rate(samples(line), 2, 4)), 500)

    def test_threads_that_begin_later_count_from_zero(self):
        before = {(1, "1"): ("main", 2.0)}
        after = {(1, "1"): ("main", 2.5), (1, "2"): ("worker", 0.25)}
        self.assertEqual(procs.cpu_between(before, after), {"main": 0.5, "worker": 0.25})

    def test_a_median_of_runs_keeps_what_went_wrong_in_one(self):
        runs = [{"cpu": 3.0, "calls": None, "rest": (10, 5)}, {"cpu": 1.0, "calls": 2.0, "rest": (20, 7)},
                {"cpu": 2.0, "calls": 4.0, "rest": (30, 9), "short": "90 % of the pictures"}]
        out = rows.aggregate(runs)
        self.assertEqual((out["cpu"], out["calls"], out["rest"]), (2.0, 3.0, [20, 7]))
        self.assertEqual(out["short"], "90 % of the pictures")

    def test_size_is_that_of_all_files(self):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "a").write_bytes(b"12345")
            (Path(folder) / "sub").mkdir()
            (Path(folder) / "sub" / "b").write_bytes(b"123")
            self.assertEqual(senders.size_of([Path(folder)]), 8)
            self.assertEqual(senders.size_of([Path(folder) / "a"]), 5)


class Flames(unittest.TestCase):
    SCRIPT = """worker
	ffffffff815894c8 udp_sendmsg
	          85a401 quinn_udp::imp::send
	          8f31a4 <p2pcam_agent::session::Driver<T> as core::future::Future>::poll
	          ebd56c tokio::runtime::context::enter
	ffffffffffffffff [unknown]

worker
	          8f31a4 <p2pcam_agent::session::Driver<T> as core::future::Future>::poll

"""

    def test_stacks_begin_where_the_work_begins(self):
        agent = "agent session::Driver::poll"
        self.assertEqual(flame.fold(self.SCRIPT), {
            ("worker", agent, "quinn_udp::imp::send", "kernel udp_sendmsg"): 1, ("worker", agent): 1})

    def test_a_frame_counts_once_in_a_stack_that_calls_it_twice(self):
        found = {("main", "a", "b", "a"): 3, ("main", "b"): 1}
        self.assertEqual(dict(flame.shares(found)), {"main": 1.0, "a": 0.75, "b": 1.0})

    def test_graphs_are_well_formed_and_leave_out_what_cannot_be_seen(self):
        import xml.etree.ElementTree as tree
        svg = flame.draw("a < b", {("main", "one & two"): 9999, ("main", "seldom"): 1})
        tree.fromstring(svg)
        self.assertIn("one &amp; two: 100.0 %", svg)
        self.assertNotIn("seldom", svg)


class Pages(unittest.TestCase):
    def test_a_section_is_replaced_between_its_markers_only(self):
        page = "before\n<!-- peers: begin -->\nold\n<!-- peers: end -->\nafter\n"
        new = tables.replace_section(page, "new\n")
        self.assertEqual(new, "before\n<!-- peers: begin -->\n\nnew\n\n<!-- peers: end -->\nafter\n")
        self.assertEqual(tables.replace_section(new, "new\n"), new)

    def test_a_sender_that_failed_has_its_cell(self):
        runs = {"agent": {"1": {"cpu": 2.0, "cpu_encoder": 0.0}}, "other": {}}
        result = {"counts": [1], "runs": runs, "failures": {"other 1": "failed"},
                  "senders": {"agent": {"title": "Agent"}, "other": {"title": "Other"}}}
        self.assertEqual(tables.per_count(result, "CPU", tables.cpu).splitlines()[2:],
                         ["| Agent | 2.0 (1.00x) |", "| Other | failed |"])

    def test_plots_are_well_formed(self):
        import xml.etree.ElementTree as tree
        tree.fromstring(plots.bars("a < b", [("1 viewer", [("p2pcam & co", 2.0, 1.0), ("none", 0.0, 0.0)])]))
        tree.fromstring(plots.lines("rate", "Mbit/s", {"x": [(0.0, 1.0), (1.0, 2.0)]}, [(0.0, 3.0), (1.0, 3.0)]))
        tree.fromstring(plots.lines("nothing", "Mbit/s", {}))


if __name__ == "__main__":
    unittest.main()
