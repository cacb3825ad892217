"""Drawing: with synthetic events on a figure without a display, and with a real mouse."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

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
    return reading_of(
        "012"[: len(pieces)],
        confidences=[0.8, 0.95, 0.7][: len(pieces)],
        picture=paper.convert("RGB"),
        size=paper.size,
        boxes=[(x.start, y.start, x.stop, y.stop) for y, x in pieces],
    )


def read_nothing(paper):
    return reading_of(picture=paper, size=paper.size)


def ink_of(stroke):
    """The rows and the columns of the ink that a stroke leaves on paper."""
    drawing = Drawing()
    for point in stroke:
        drawing.extend(point)
    return np.nonzero(np.asarray(drawing.picture()) < 128)


class Pen:
    """A user at a window without a display."""

    def __init__(self, read, folder):
        self.figure = Figure((10, 6), dpi=100)
        self.canvas = FigureCanvasAgg(self.figure)
        self.papers = []  # what was read
        self.window = DrawingWindow(
            self.figure, lambda p: self.papers.append(np.asarray(p)) or read(p), folder
        )

    def mouse(self, what, x, y, axes=None, button=1):
        point = (axes or self.window.paper).transData.transform((x, y))
        MouseEvent(f"{what}_event", self.canvas, *point, button)._process()

    def begin(self, stroke):
        self.mouse("button_press", *stroke[0])
        for point in stroke[1:]:
            self.mouse("motion_notify", *point)

    def click(self, button):
        for what in ("button_press", "button_release"):
            self.mouse(what, 0.5, 0.5, button.ax)

    def draw(self, stroke):
        self.begin(stroke)
        self.mouse("button_release", *stroke[-1])
        self.wait()

    def key(self, key):
        KeyEvent("key_press_event", self.canvas, key)._process()
        self.wait()

    def wait(self):
        """Let the timer's event come until all is read."""
        for _ in range(500):
            self.window.poll()
            if not self.window.pending:
                return
            time.sleep(0.01)
        raise AssertionError("the reading does not end")

    def screen(self):
        return np.array(self.canvas.buffer_rgba())[..., :3] / 255

    def shows(self, color):
        """The pixels (n, 2) of a colour: row, column."""
        return np.argwhere((np.abs(self.screen() - to_rgb(color)) < 0.02).all(axis=2))

    def texts(self):
        """The texts that are seen, without those that always are."""
        texts = [text for axes in self.figure.axes[:3] for text in axes.texts]
        return [text.get_text() for text in texts if text.get_visible() and text.get_text()]


@pytest.fixture
def pen(tmp_path):
    return Pen(read_pieces, tmp_path)


# --- the drawing


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


# --- the window


def test_what_is_read_is_what_is_seen(pen):
    pen.draw(ONE)
    pen.draw(arc(500, 400, 300, 200, 0, 300))
    pen.window.reading = None
    pen.window.redraw()
    rows, columns = np.mgrid[8:HEIGHT:8, 8:WIDTH:8]
    places = np.c_[columns.ravel(), rows.ravel()]
    x, y = np.rint(pen.window.paper.transData.transform(places)).T
    seen = pen.screen()[599 - y.astype(int), x.astype(int)].mean(axis=1)
    read = pen.papers[-1][rows, columns].ravel()
    assert 50 < (read < 128).sum() < 500
    assert ((seen < 0.5) != (read < 128)).mean() < 0.005


def test_a_stroke_is_seen_while_it_is_drawn(pen):
    pen.begin(BAR[:1])
    dot = len(pen.shows("black"))
    assert dot > 20
    for point in BAR[1:]:
        pen.mouse("motion_notify", *point)
    longer = len(pen.shows("black")) - dot
    scale = pen.window.paper.bbox.width / WIDTH
    assert longer == pytest.approx(200 * scale * PEN_WIDTH * scale, rel=0.2)


def test_keys_of_matplotlib_do_nothing(monkeypatch):
    pyplot.switch_backend("agg")
    monkeypatch.setattr(FigureCanvasAgg, "required_interactive_framework", "none")
    figure = window.open_figure()
    axes = figure.add_axes((0, 0, 1, 1))
    KeyEvent("key_press_event", figure.canvas, "l", 50, 50)._process()
    assert axes.get_yscale() == "linear"
    pyplot.close("all")


def test_reading_is_shown_for_the_digit_drawn_last(pen):
    pen.mouse("button_press", *ONE[0], button=3)
    pen.mouse("button_press", 950, 100)  # beside the paper
    pen.mouse("motion_notify", *ONE[1])
    assert pen.texts() == ["Draw digits here"]
    pen.draw(ONE)
    pen.draw(BAR)
    assert pen.window.focus == pytest.approx(BAR[-1], abs=2)
    assert pen.texts() == ["01  76.0 %", "0", "1", "95.0 %", "5.0 %"]
    assert [box.get_linewidth() for box in pen.window.marks[::2]] == [1, 2]
    blue, red = pen.shows(BLUE), pen.shows(VERMILLION)
    assert len(blue) > 2000  # the bar of the 1, and box and label
    assert 300 < len(red) < 1000
    corner = np.add(ONE[-1], PEN_WIDTH / 2)
    right, bottom = pen.window.paper.transData.transform(corner)
    lower = red[red[:, 0] > 599 - bottom - 50]  # without the label
    assert lower.max(axis=0) == pytest.approx((600 - bottom, right), abs=2)


def test_a_click_shows_the_digit_clicked_on(pen):
    for stroke in (ONE, BAR, [(201, 300), (202, 301)]):  # the last is a click
        pen.draw(stroke)
    assert np.array_equal(pen.papers[-1], pen.papers[-2])
    assert pen.texts() == ["01  76.0 %", "0", "1", "80.0 %", "20.0 %"]
    assert np.all(pen.window.digit_image.get_array() == np.float32(0.9))
    assert [bar.get_width() for bar in pen.window.bars[:3]] == pytest.approx([0.8, 0.2, 0])
    assert len(pen.shows(VERMILLION)) > 2000
    assert 300 < len(pen.shows(BLUE)) < 1000


def test_a_click_beside_all_digits_and_a_straight_stroke_on_one_are_drawn(pen):
    pen.draw(ONE)
    pen.draw([(201, 390), (201, 380), (201, 370)])  # no click: a straight stroke on the 0
    pen.draw([(700, 600)])  # a click beside all digits leaves a dot
    assert len(pen.window.drawing.strokes) == 3


def test_a_long_title_and_a_label_at_the_top_are_not_clipped(pen):
    pen.window.read = lambda paper: reading_of(60 * "7", picture=paper, size=paper.size)
    pen.draw([(450, 20), (450, 100)])
    ends = [artist.get_window_extent() for artist in (pen.window.title, pen.window.marks[1])]
    assert ends[0].x1 < pen.window.digit_image.axes.bbox.x0
    assert ends[1].y1 < pen.window.paper.bbox.y1


@pytest.mark.parametrize(("undo", "clear"), [("ctrl+z", "escape"), ("backspace", "delete")])
def test_no_trace_stays_of_what_is_undone(pen, undo, clear):
    screens = [pen.screen()]
    for stroke in (ONE, BAR):
        pen.draw(stroke)
        screens.append(pen.screen())
    pen.begin(ONE)
    pen.key(undo)  # only the unfinished stroke goes
    assert np.array_equal(pen.screen(), screens[-1])
    pen.key(clear)
    assert np.array_equal(pen.screen(), screens[0])
    pen.begin(ONE)
    pen.key(clear)  # this is nothing to undo
    for screen in [*screens[::-1], screens[0]]:  # at the end, there is nothing to undo
        pen.key(undo)
        assert np.array_equal(pen.screen(), screen)


def test_buttons_do_what_they_say(pen, tmp_path):
    pen.draw(ONE)
    pen.draw(BAR)
    undo, clear, save = pen.window.buttons
    names = [button.label.get_text() for button in (undo, clear, save)]
    assert names == ["Undo (Ctrl-Z)", "Clear (Esc)", "Save (S)"]
    pen.click(save)
    assert (tmp_path / "drawing.png").exists()
    for button, left in [(undo, 1), (clear, 0)]:
        pen.click(button)
        assert len(pen.window.drawing.strokes) == left


def test_drawings_are_saved_and_none_is_overwritten(pen, tmp_path, capsys):
    for stroke, name in [(ONE, "drawing.png"), (BAR, "drawing-2.png")]:
        pen.draw(stroke)
        pen.key("s")
        assert f"Saved as {name}" in pen.texts()
        assert capsys.readouterr() == (f"Saved {tmp_path / name}\n", "")
        np.testing.assert_array_equal(Image.open(tmp_path / name), pen.papers[-1])


def test_a_message_says_why_a_drawing_is_not_saved(pen, tmp_path, capsys):
    pen.key("S")
    assert "Not saved: the paper is empty" in pen.texts()
    pen.begin(ONE)
    assert pen.texts() == []  # the message goes when the next stroke begins
    pen.window.folder = tmp_path / "missing"
    pen.key("s")
    message = f"Not saved: {tmp_path / 'missing' / 'drawing.png'}: No such file or directory"
    assert message in pen.texts()
    assert capsys.readouterr() == ("", f"Not saved: the paper is empty\n{message}\n")
    assert list(tmp_path.iterdir()) == []


def test_a_message_says_that_nothing_is_found(pen):
    pen.window.read = read_nothing
    pen.draw(ONE)
    assert pen.texts() == ["No digit found"]


def test_the_beginning_of_a_digit_is_no_mistake(pen):
    pen.window.read = read_nothing
    pen.window.reading_time = 0  # fast enough to go on during a stroke
    pen.begin(ONE)
    pen.wait()
    assert pen.window.reading is not None
    assert pen.texts() == []


def test_at_the_end_all_that_is_drawn_is_read_once(pen):
    pen.draw(ONE)
    assert pen.window.final_reading().text == "0"
    assert len(pen.papers) == 1
    pen.begin(BAR)
    assert pen.window.final_reading().text == "01"
    pen.key("escape")
    pen.key("escape")
    assert pen.window.final_reading() is None


def test_a_reading_that_was_overtaken_is_not_shown(tmp_path):
    go_on = threading.Event()
    pen = Pen(lambda paper: go_on.wait(5) and read_pieces(paper), tmp_path)
    empty = pen.screen()
    pen.begin(ONE)
    pen.mouse("button_release", *ONE[-1])
    pen.window.poll()
    assert pen.window.pending
    pen.key("escape")
    go_on.set()
    pen.window.reader.shutdown()
    pen.window.poll()
    assert np.array_equal(pen.screen(), empty)


@pytest.mark.parametrize(("limit", "readings"), [(60, 2), (0, 1)])
def test_only_a_fast_reading_goes_on_during_a_stroke(pen, monkeypatch, limit, readings):
    monkeypatch.setattr(window, "MAX_LIVE_TIME", limit)
    pen.draw(ONE)
    pen.begin(BAR)
    assert len(pen.papers) == 1  # never within an event
    pen.wait()
    assert len(pen.papers) == readings


@pytest.fixture
def predict_drawing(tmp_path, trained_file, monkeypatch, capsys):
    """Call `predict.main` with strokes drawn in its window; returns status and output."""

    def call(*strokes):
        def draw(_figure, read, folder):
            pen = Pen(read, folder)
            for stroke in strokes:
                pen.draw(stroke)
            return pen.window.final_reading()

        monkeypatch.setattr(window, "open_figure", Figure)
        monkeypatch.setattr(window, "draw", draw)
        options = ["--model", str(trained_file), "--output", str(tmp_path / "p.png")]
        return predict.main(["--draw", *options]), capsys.readouterr()

    return call


def test_the_network_reads_what_is_drawn(predict_drawing, tmp_path):
    status, printed = predict_drawing(
        arc(200, 200, 130, 220, -90, 270),
        [(400, 90), (395, 150), (395, 250), (390, 310)],
        arc(600, 150, 110, 110, -150, 90) + arc(600, 255, 130, 110, -90, 150),
        [(220, 450), (260, 450), (320, 450), (335, 460), (330, 480), (260, 700)],
    )
    drawing, saved = printed.out.splitlines()
    assert (status, saved) == (0, f"Saved {tmp_path / 'p.png'}")
    assert drawing.startswith("drawing  013 / 7  ")


def test_a_window_closed_without_a_drawing_saves_nothing(predict_drawing, tmp_path):
    assert predict_drawing() == (0, ("", ""))
    assert list(tmp_path.iterdir()) == []


def test_a_drawing_without_a_digit_is_an_error(predict_drawing):
    status, printed = predict_drawing([(450, 360)])
    assert (status, printed.err) == (2, "predict.py: error: drawing: no digit found\n")


def test_ctrl_c_closes_the_window_and_ends_the_run(monkeypatch):
    closed, before = [], signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(pyplot, "show", lambda block: signal.raise_signal(signal.SIGINT))
    monkeypatch.setattr(pyplot, "close", closed.append)
    with pytest.raises(KeyboardInterrupt):
        window.wait_until_closed()
    assert (closed, signal.getsignal(signal.SIGINT)) == (["all"], before)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
@pytest.mark.parametrize("backend", ["TkAgg", "agg"])
def test_without_a_display_one_line_says_so(tmp_path, trained_file, backend):
    options = ["--draw", "--model", trained_file]
    result = run(ROOT / "predict.py", *options, cwd=tmp_path, MPLBACKEND=backend)
    assert (result.returncode, "Traceback" in result.stderr) == (2, False)
    error = result.stderr.splitlines()[-1]
    assert error.startswith("predict.py: error: no window can be opened: there must be a disp")


@contextlib.contextmanager
def screen(size):
    """A display of Xvfb, `size` pixels large; yields its name."""
    if not shutil.which("Xvfb") or not shutil.which("xdotool"):
        pytest.skip("Xvfb or xdotool is not installed")
    pytest.importorskip("tkinter", reason="this Python has no Tk")
    command = ["Xvfb", "-displayfd", "1", "-dpi", "96", "-screen", "0", f"{size}x24"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        yield f":{server.stdout.readline().decode().strip()}"
        server.terminate()


def test_a_window_is_no_larger_than_the_screen_and_no_smaller_than_its_texts_need(tmp_path):
    code = """
import window
manager = window.open_figure().canvas.manager
manager.show()
opened = manager.window
opened.update()
print(opened.winfo_width(), opened.winfo_height(), *opened.minsize())
"""
    with screen("700x450") as display:
        result = run("-c", code, cwd=tmp_path, DISPLAY=display)
    assert result.stdout == "700 450 640 400\n"


def test_a_real_mouse_draws_in_a_real_window(trained_file, tmp_path):
    with screen("1000x600") as display:
        mouse = "search --sync --name Draw.digits sleep 1 mousemove 200 150 mousedown 1"
        mouse += "".join(f" mousemove 200 {y} sleep 0.01" for y in range(150, 354, 4))
        mouse += " mouseup 1 sleep 1 key s sleep 1 key q"
        command = ["timeout", "60", "xdotool", *mouse.split()]
        options = ["--draw", "--model", trained_file, "--output", "p.png"]
        with subprocess.Popen(command, env=os.environ | {"DISPLAY": display}):
            result = run(ROOT / "predict.py", *options, cwd=tmp_path, DISPLAY=display)
    assert (result.returncode, result.stderr) == (0, "")
    saved, read, _ = result.stdout.splitlines()
    assert saved == "Saved drawing.png"
    assert read.startswith("drawing  1  ")
    ink = np.argwhere(np.asarray(Image.open(tmp_path / "drawing.png")) < 128)
    (top, left), (bottom, right) = ink.min(axis=0), ink.max(axis=0)
    assert (top, bottom) == pytest.approx((127, 456), abs=6)
    assert right - left == pytest.approx(PEN_WIDTH, abs=2)
