"""Drawing: with synthetic events on a figure without a display, and with a real mouse."""

import os
import shutil
import signal
import subprocess
import sys
from importlib.util import find_spec
from unittest.mock import Mock

import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.backend_bases import KeyEvent, MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image
from scipy import ndimage

import predict
import window
from helpers import ROOT, reading_of, run
from plots import BLUE, VERMILLION
from window import MARGIN, PEN_WIDTH, Drawing, DrawingWindow

WIDTH, HEIGHT = window.PAPER_SIZE
ONE = [(200, 200), (200, 300), (200, 400)]
BAR = [(400, 250), (500, 250), (600, 250)]


def arc(x, y, width, height, start, stop):
    """A stroke along an ellipse, from one angle to another (degrees, clockwise from right)."""
    t = np.radians(np.linspace(start, stop, 40))
    return list(zip(x + width / 2 * np.cos(t), y + height / 2 * np.sin(t), strict=True))


def read_pieces(paper):
    """A reading in which each piece of ink is a digit: the first is a 0, the next a 1..."""
    pieces = ndimage.find_objects(ndimage.label(np.asarray(paper) < 128)[0])
    boxes = [(x.start, y.start, x.stop, y.stop) for y, x in pieces]
    reading = reading_of("012"[: len(boxes)], confidences=[0.8, 0.95, 0.7][: len(boxes)])
    digits = zip(reading.digits, boxes, strict=True)
    return reading._replace(lines=[[digit._replace(box=box) for digit, box in digits]])


class Pen:
    """A user at a window without a display."""

    def __init__(self, read, folder):
        self.canvas = FigureCanvasAgg(Figure((10, 6), dpi=100))
        self.read = Mock(side_effect=read)
        self.window = DrawingWindow(self.canvas.figure, self.read, folder)

    def mouse(self, what, x, y, axes=None):
        point = (axes or self.window.paper).transData.transform((x, y))
        MouseEvent(f"{what}_event", self.canvas, *point, 1)._process()

    def begin(self, stroke):
        self.mouse("button_press", *stroke[0])
        for point in stroke[1:]:
            self.mouse("motion_notify", *point)

    def draw(self, *strokes):
        for stroke in strokes:
            self.begin(stroke)
            self.mouse("button_release", *stroke[-1])
            self.wait()

    def key(self, key):
        KeyEvent("key_press_event", self.canvas, key)._process()
        self.wait()

    def wait(self):
        """Let the timer's event come until all is read."""
        self.window.poll()
        while self.window.pending:
            self.window.pending.result(timeout=5)
            self.window.poll()

    def screen(self):
        return np.array(self.canvas.buffer_rgba())[..., :3] / 255

    def count(self, color):
        """How many pixels of the screen have a colour."""
        return (np.abs(self.screen() - to_rgb(color)) < 0.02).all(axis=2).sum()

    def papers(self):
        """What was read."""
        return [np.asarray(paper) for (paper,), _ in self.read.call_args_list]

    def texts(self):
        """The texts that are seen, without those that always are."""
        texts = [text for axes in self.canvas.figure.axes[:3] for text in axes.texts]
        return [text.get_text() for text in texts if text.get_visible() and text.get_text()]


@pytest.fixture
def pen(tmp_path):
    return Pen(read_pieces, tmp_path)


def ink_of(stroke):
    """The rows and the columns of the ink that a stroke leaves on paper."""
    drawing = Drawing()
    drawing.begin(stroke[0])
    for point in stroke[1:]:
        drawing.extend(point)
    return np.nonzero(np.asarray(drawing.picture()) < 128)


def test_a_fast_stroke_is_smooth_and_as_wide_as_the_pen():
    circle = arc(450, 360, 400, 400, 0, 702)[::2]  # 36 degrees from point to point
    rows, columns = ink_of(circle)
    radius = np.hypot(columns + 0.5 - 450, rows + 0.5 - 360)[columns < 450]  # not the ends
    # The curve stays at 190 to 191. Straight lines from point to point would reach 200.
    assert radius.min() == pytest.approx(190 - PEN_WIDTH / 2, abs=1)
    assert radius.max() == pytest.approx(191 + PEN_WIDTH / 2, abs=1)


@pytest.mark.parametrize("outside", [(450, -90), (-90, 360), (990, 360), (450, 810)])
def test_no_ink_touches_the_edge_of_the_paper(outside):
    rows, columns = ink_of([(450, 360), outside])
    margin = min(rows.min(), columns.min(), HEIGHT - rows.max(), WIDTH - columns.max())
    assert margin == pytest.approx(MARGIN - PEN_WIDTH / 2, abs=2)


def test_a_stroke_is_seen_while_it_is_drawn_and_afterwards(pen):
    before = pen.count("black")
    pen.begin(BAR)
    drawn = pen.count("black") - before
    scale = pen.window.paper.bbox.width / WIDTH
    assert drawn == pytest.approx(200 * PEN_WIDTH * scale**2, rel=0.25)
    pen.window.redraw()
    assert pen.count("black") - before == pytest.approx(drawn, rel=0.05)


def test_reading_is_shown_for_the_digit_where_the_last_stroke_ends(pen):
    from_the_box_of_the_0 = [(460, 192), (600, 200), (700, 300)]
    pen.draw(arc(400, 300, 130, 220, 0, 360), from_the_box_of_the_0)
    assert pen.texts() == ["01  76.0 %", "0", "1", "95.0 %", "5.0 %"]
    assert [box.get_linewidth() for box in pen.window.marks[::2]] == [1, 2]
    assert pen.count(BLUE) > 2000  # the bar of the 1, and box and label
    assert 300 < pen.count(VERMILLION) < 1000  # box and label of the 0, which is unsure


def test_a_dot_beside_a_digit_is_no_click(pen):
    pen.draw(ONE, BAR[:1])
    assert pen.window.reading.text == "01"


def test_a_click_shows_the_digit_clicked_on(pen):
    pen.draw(ONE, BAR, [(201, 300), (202, 301)])  # the last is a click
    *_, before, after = pen.papers()
    assert np.array_equal(before, after)  # and leaves no ink
    assert pen.texts() == ["01  76.0 %", "0", "1", "80.0 %", "20.0 %"]
    assert np.all(pen.window.digit_image.get_array() == np.float32(0.9))
    assert [bar.get_width() for bar in pen.window.bars[:3]] == pytest.approx([0.8, 0.2, 0])


def test_no_trace_stays_of_what_is_undone(pen):
    screens = [pen.screen()]
    for stroke in (ONE, BAR, [(220, 200), (260, 400)]):  # the last is beside the first
        pen.draw(stroke)
        screens.append(pen.screen())
    pen.begin(ONE)
    pen.key("ctrl+z")  # only the unfinished stroke goes
    assert np.array_equal(pen.screen(), screens[-1])
    pen.key("escape")
    for screen in [screens[0], *screens[::-1], screens[0]]:  # at the end, nothing is left
        assert np.array_equal(pen.screen(), screen)
        pen.key("ctrl+z")


def test_buttons_do_what_they_say(pen):
    pen.draw(ONE, BAR)
    strokes = []
    for button in pen.window.buttons:
        for what in ("button_press", "button_release"):
            pen.mouse(what, 0.5, 0.5, button.ax)
        strokes.append((button.label.get_text(), len(pen.window.drawing.strokes)))
    assert strokes == [("Undo (Ctrl-Z)", 1), ("Clear (Esc)", 0), ("Save (S)", 0)]
    assert pen.texts() == ["Draw digits here", "Not saved: the paper is empty"]


def test_drawings_are_saved_and_none_is_overwritten(pen, tmp_path, capsys):
    for stroke, name in [(ONE, "drawing.png"), (BAR, "drawing-2.png")]:
        pen.draw(stroke)
        pen.key("s")
        assert f"Saved as {name}" in pen.texts()
        assert capsys.readouterr() == (f"Saved {tmp_path / name}\n", "")
        np.testing.assert_array_equal(Image.open(tmp_path / name), pen.papers()[-1])


def test_that_nothing_is_found_is_said_only_when_a_stroke_is_finished(pen):
    pen.window.read = lambda _: reading_of()
    pen.window.reading_time = 0  # fast enough to go on during a stroke
    pen.begin(ONE)
    pen.wait()
    assert (pen.window.reading.digits, pen.texts()) == ([], [])
    pen.mouse("button_release", *ONE[-1])
    assert pen.texts() == ["No digit found"]


def test_at_the_end_all_that_is_drawn_is_read_once(pen):
    pen.draw(ONE)
    assert pen.window.final_reading().text == "0"
    assert len(pen.papers()) == 1
    pen.begin(BAR[:1])  # a dot, and the pen is still down
    assert pen.window.final_reading().text == "01"
    pen.key("escape")
    pen.key("escape")
    assert pen.window.final_reading() is None


@pytest.mark.parametrize(
    ("strokes", "expected"),
    [
        ([ONE, arc(400, 300, 130, 220, -90, 270)], (0, "drawing  10  ", "")),
        ([], (0, "", "")),
        ([BAR[:1]], (2, "", "predict.py: error: drawing: no digit found\n")),
    ],
)
def test_a_drawing_is_read(tmp_path, trained_file, monkeypatch, capsys, strokes, expected):
    def draw(_figure, read, folder):
        pen = Pen(read, folder)
        pen.draw(*strokes)
        return pen.window.final_reading()

    monkeypatch.setattr(window, "open_figure", Figure)
    monkeypatch.setattr(window, "draw", draw)
    options = ["--draw", "--model", str(trained_file), "--output", str(tmp_path / "p.png")]
    status, (out, err) = predict.main(options), capsys.readouterr()
    assert (status, out[:13], err) == expected
    assert [path.name for path in tmp_path.iterdir()] == ["p.png"] * bool(out)


def test_matplotlibs_own_keys_do_nothing(monkeypatch):
    pyplot.switch_backend("agg")
    monkeypatch.setattr(FigureCanvasAgg, "required_interactive_framework", "as of a window")
    axes = window.open_figure().add_axes((0, 0, 1, 1))
    KeyEvent("key_press_event", axes.figure.canvas, "k", 9, 9)._process()
    assert axes.get_xscale() == "linear"


def test_ctrl_c_closes_the_window_and_ends_the_run(monkeypatch):
    monkeypatch.setattr(pyplot, "show", lambda block: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(pyplot, "close", close := Mock())
    with pytest.raises(KeyboardInterrupt):
        window.wait_until_closed()
    close.assert_called_once_with("all")


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
@pytest.mark.parametrize("backend", ["TkAgg", "agg"])
def test_without_a_display_one_line_says_so(tmp_path, trained_file, backend):
    options = ["--draw", "--model", trained_file]
    result = run(ROOT / "predict.py", *options, cwd=tmp_path, MPLBACKEND=backend)
    assert (result.returncode, "Traceback" in result.stderr) == (2, False)
    error = result.stderr.splitlines()[-1]
    assert error.startswith("predict.py: error: no window can be opened: there must be a disp")


@pytest.mark.skipif(
    not (shutil.which("Xvfb") and shutil.which("xdotool") and find_spec("tkinter")),
    reason="Xvfb, xdotool or Python's Tk is not installed",
)
def test_a_real_mouse_draws_in_a_real_window_on_a_small_screen(trained_file, tmp_path):
    mouse = "search --sync --name Draw.digits sleep 1 mousemove 150 100 "
    points = [f" mousemove 150 {y} sleep 0.01" for y in range(100, 304, 4)]
    mouse += "".join(["mousedown 1", *points, " mouseup 1 sleep 1 key s sleep 1 key q"])
    server = ["Xvfb", "-displayfd", "1", "-dpi", "96", "-screen", "0", "700x450x24"]
    options = ["--draw", "--model", trained_file, "--output", "own/p.png"]
    with subprocess.Popen(server, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as xvfb:
        display = f":{xvfb.stdout.readline().decode().strip()}"
        user = ["timeout", "60", "xdotool", *mouse.split()]
        with subprocess.Popen(user, env=os.environ | {"DISPLAY": display}):
            result = run(ROOT / "predict.py", *options, cwd=tmp_path, DISPLAY=display)
        xvfb.terminate()
    assert (result.returncode, result.stderr) == (0, "")
    saved, read, _ = result.stdout.splitlines()
    assert saved == "Saved own/drawing.png"
    assert read.startswith("drawing  1  ")
    # On this screen, the paper is 420 pixels wide, and its corner lies at (21, 52).
    rows, columns = np.nonzero(np.asarray(Image.open(tmp_path / "own/drawing.png")) < 128)
    ends = (np.array([100, 300]) - 52) * WIDTH / 420 + [-PEN_WIDTH / 2, PEN_WIDTH / 2]
    assert [rows.min(), rows.max()] == pytest.approx(ends, abs=6)
    assert columns.mean() == pytest.approx((150 - 21) * WIDTH / 420, abs=6)
