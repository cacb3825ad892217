"""Drawing: with synthetic events on a figure without a display, and with a real mouse."""

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
from helpers import ROOT, run
from window import HEIGHT, PEN_WIDTH, WIDTH, Answer, DrawingWindow

BLUE, GREEN = "#0000FF", "#00FF00"
ONE = [(200, 200), (200, 300), (200, 400)]
BAR = [(400, 250), (500, 250), (600, 250)]


def arc(x, y, width, height, start, stop):
    """A stroke along an ellipse, from one angle to another (degrees, clockwise from right)."""
    t = np.radians(np.linspace(start, stop, 40))
    return list(zip(x + width / 2 * np.cos(t), y + height / 2 * np.sin(t), strict=True))


def read_pieces(paper):
    """A reading in which each piece of ink is a digit: the first is a 0, the next a 1..."""
    boxes = [
        (columns.start, rows.start, columns.stop, rows.stop)
        for rows, columns in ndimage.find_objects(ndimage.label(paper < 128)[0])
    ]
    n = len(boxes)
    share = np.array([[0.8], [0.9], [0.7]])[:n]
    probabilities = share * np.eye(10)[:n] + (1 - share) * np.roll(np.eye(10), 1, axis=1)[:n]
    pixels = np.linspace(0.2, 1, n)[:, None, None] * np.ones((n, 28, 28))
    colors = [BLUE, GREEN, BLUE][:n]
    return Answer(f"{n} pieces", np.reshape(boxes, (n, 4)), pixels, probabilities, colors)


class Pen:
    """A user at a window without a display."""

    def __init__(self, read, folder):
        self.figure = Figure((10, 6), dpi=100)
        self.canvas = FigureCanvasAgg(self.figure)
        self.papers = []  # what was read
        self.window = DrawingWindow(
            self.figure, lambda p: self.papers.append(p) or read(p), folder
        )

    def mouse(self, what, x, y, axes=None, button=1):
        point = (axes or self.window.paper_axes).transData.transform((x, y))
        MouseEvent(f"{what}_event", self.canvas, *point, button)._process()

    def begin(self, stroke):
        self.mouse("button_press", *stroke[0])
        for point in stroke[1:]:
            self.mouse("motion_notify", *point)

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


def test_what_is_read_is_what_is_seen(pen):
    pen.draw(ONE)
    pen.draw(arc(500, 400, 300, 200, 0, 300))
    pen.window.answer = Answer()
    pen.window.redraw()
    rows, columns = np.mgrid[8:HEIGHT:8, 8:WIDTH:8]
    places = np.c_[columns.ravel(), rows.ravel()]
    x, y = np.rint(pen.window.paper_axes.transData.transform(places)).T
    seen = pen.screen()[599 - y.astype(int), x.astype(int)].mean(axis=1)
    read = pen.papers[-1][rows, columns].ravel()
    assert 50 < (read < 128).sum() < 500
    assert ((seen < 0.5) != (read < 128)).mean() < 0.005


def test_a_stroke_is_seen_while_it_is_drawn_and_can_be_dropped(pen):
    pen.draw(ONE)
    pen.key("s")
    assert "Saved as drawing.png" in pen.texts()
    black = len(pen.shows("black"))
    pen.mouse("button_press", *BAR[0])
    dot = len(pen.shows("black")) - black
    assert dot > 20
    assert "Saved as drawing.png" not in pen.texts()
    for point in BAR[1:]:
        pen.mouse("motion_notify", *point)
    longer = len(pen.shows("black")) - black - dot
    scale = pen.window.paper_axes.bbox.width / WIDTH
    assert longer == pytest.approx(200 * scale * PEN_WIDTH * scale, rel=0.2)
    pen.mouse("button_release", *BAR[-1], button=3)
    assert len(pen.window.stroke) == 3
    pen.key("ctrl+z")
    assert pen.window.strokes == [pytest.approx(np.array(ONE), abs=2)]


def test_no_ink_touches_the_edge_of_the_paper(pen):
    for outside in ((450, -90), (-90, 360), (990, 360), (450, 810)):
        pen.draw([(450, 360), outside])
    rows, columns = np.nonzero(pen.papers[-1] < 128)
    margins = rows.min(), columns.min(), HEIGHT - rows.max(), WIDTH - columns.max()
    assert margins == pytest.approx((10, 10, 10, 10), abs=2)


def test_keys_of_matplotlib_do_nothing(tmp_path):
    pyplot.switch_backend("agg")
    drawing = DrawingWindow(pyplot.figure(), read_pieces, tmp_path)
    position = drawing.paper_axes.transData.transform((450, 360))
    KeyEvent("key_press_event", drawing.canvas, "l", *position)._process()
    assert drawing.paper_axes.get_yscale() == "linear"
    pyplot.close("all")


def test_a_fast_stroke_is_smooth_and_as_wide_as_the_pen(pen):
    pen.draw(arc(450, 360, 400, 400, 0, 702)[::2])  # 36 degrees from point to point
    rows, columns = np.nonzero(pen.papers[-1] < 128)
    radius = np.hypot(columns + 0.5 - 450, rows + 0.5 - 360)[columns < 450]  # not the ends
    # The curve stays at 190 to 191. Straight lines from point to point would reach 200.
    assert (radius.min(), radius.max()) == pytest.approx(
        (190 - PEN_WIDTH / 2, 191 + PEN_WIDTH / 2), abs=1
    )


def test_reading_is_shown_for_the_digit_drawn_last(pen):
    pen.mouse("button_press", *ONE[0], button=3)
    pen.mouse("button_press", 950, 100)  # beside the paper
    pen.mouse("motion_notify", *ONE[1])
    assert pen.texts() == ["Draw digits here"]
    pen.draw(ONE)
    pen.draw(BAR)
    assert pen.window.focus == pytest.approx(BAR[-1], abs=2)
    assert pen.texts() == ["2 pieces", "0", "1", "90.0 %", "10.0 %"]
    assert [box.get_linewidth() for box in pen.window.marks[::2]] == [1, 2]
    blue, green = pen.shows(BLUE), pen.shows(GREEN)
    assert len(green) > 2000  # the bar of the 1, and box and label
    assert 300 < len(blue) < 1000
    right, bottom = pen.window.paper_axes.transData.transform(
        (200 + PEN_WIDTH / 2, 400 + PEN_WIDTH / 2)
    )
    lower = blue[blue[:, 0] > 599 - bottom - 50]  # without the label
    assert lower.max(axis=0) == pytest.approx((600 - bottom, right), abs=2)


def test_a_click_shows_the_digit_clicked_on(pen):
    for stroke in (ONE, BAR, [(201, 300), (202, 301)]):  # the last is a click
        pen.draw(stroke)
    assert np.array_equal(pen.papers[-1], pen.papers[-2])
    assert pen.texts() == ["2 pieces", "0", "1", "80.0 %", "20.0 %"]
    assert np.all(pen.window.digit_image.get_array() == 0.2)
    assert [bar.get_width() for bar in pen.window.bars[:3]] == pytest.approx([0.8, 0.2, 0])
    assert len(pen.shows(BLUE)) > 2000
    assert 300 < len(pen.shows(GREEN)) < 1000
    pen.draw([(201, 390), (201, 380), (201, 370)])  # no click: a straight stroke on the 0
    pen.draw([(700, 600)])  # a click beside all digits leaves a dot
    assert "3 pieces" in pen.texts()
    assert len(pen.window.strokes) == 4


def test_a_long_title_and_a_label_at_the_top_are_not_clipped(pen):
    pen.window.read = lambda paper: read_pieces(paper)._replace(title=60 * "7")
    pen.draw([(450, 20), (450, 100)])
    ends = [artist.get_window_extent() for artist in (pen.window.title, pen.window.marks[1])]
    assert ends[0].x1 < pen.window.digit_image.axes.bbox.x0
    assert ends[1].y1 < pen.window.paper_axes.bbox.y1


@pytest.mark.parametrize(("undo", "clear"), [("ctrl+z", "escape"), ("backspace", "delete")])
def test_no_trace_stays_of_what_is_undone(pen, undo, clear):
    screens = [pen.screen()]
    for stroke in (ONE, BAR):
        pen.draw(stroke)
        screens.append(pen.screen())
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
    strokes = []
    for button in (pen.window.buttons[i] for i in (2, 0, 1)):
        assert button.label.get_text().split()[0] in ("Save", "Undo", "Clear")
        pen.mouse("button_press", 0.5, 0.5, button.ax)
        pen.mouse("button_release", 0.5, 0.5, button.ax)
        strokes.append(len(pen.window.strokes))
    assert strokes == [2, 1, 0]
    assert (tmp_path / "drawing.png").exists()


def test_drawings_are_saved_and_never_overwritten(pen, tmp_path, capsys):
    pen.key("s")  # nothing to save
    for name in ("drawing.png", "drawing-2.png", "drawing-3.png"):
        pen.draw(ONE)
        pen.key("s")
        assert capsys.readouterr().out == f"Saved {tmp_path / name}\n"
        saved = np.asarray(Image.open(tmp_path / name))
        assert np.array_equal(saved, pen.papers[-1])
    assert len(list(tmp_path.iterdir())) == 3
    pen.window.folder = tmp_path / "missing"
    pen.key("S")
    assert "drawing.png not saved: No such file" in capsys.readouterr().err


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


def test_the_network_reads_what_is_drawn(tmp_path, trained_file, monkeypatch, capsys):
    texts = []

    def draw(read, folder):
        pen = Pen(read, folder)
        pen.draw(arc(200, 200, 130, 220, -90, 270))
        pen.draw([(400, 90), (395, 150), (395, 250), (390, 310)])
        pen.draw(arc(600, 150, 110, 110, -150, 90) + arc(600, 255, 130, 110, -90, 150))
        pen.draw([(220, 450), (260, 450), (320, 450), (335, 460), (330, 480), (260, 700)])
        texts.extend(pen.texts())
        zero = pen.window.answer.boxes[0]
        assert zero == pytest.approx((130, 85, 270, 315), abs=6)  # around the pen's width
        assert folder == tmp_path
        assert read(np.full((HEIGHT, WIDTH), 255, np.uint8)).title == ""
        return pen.papers[-1]

    options = ["--model", str(trained_file), "--output", str(tmp_path / "p.png")]
    monkeypatch.setattr(window, "draw", lambda *_: None)  # closed without a drawing
    assert predict.main(["--draw", *options]) == 0
    assert (capsys.readouterr(), list(tmp_path.iterdir())) == (("", ""), [])
    monkeypatch.setattr(window, "draw", draw)
    assert predict.main(["--draw", *options]) == 0
    title, *labels = texts
    assert labels[:4] == ["0", "1", "3", "7"]
    drawing, saved = capsys.readouterr().out.splitlines()
    assert drawing.startswith("drawing  013 / 7  ")
    assert f"drawing  {title}" in drawing
    assert saved == f"Saved {tmp_path / 'p.png'}"


def test_a_picture_is_shown_in_its_size_until_ctrl_c(tmp_path, monkeypatch):
    figures, before = [], signal.getsignal(signal.SIGINT)

    def open_figure(*size):
        figures.append(Figure())
        assert size == (90, 50)
        return figures[0]

    Image.new("L", (90, 50), 7).save(tmp_path / "a.png")
    monkeypatch.setattr(window, "open_figure", open_figure)
    monkeypatch.setattr(pyplot, "show", lambda block: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        window.show(tmp_path / "a.png")
    assert signal.getsignal(signal.SIGINT) is before
    assert np.all(figures[0].axes[0].images[0].get_array() == 7)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a display")
@pytest.mark.parametrize(
    ("backend", "open_window"),
    [("TkAgg", "draw(None, '.')"), ("agg", "draw(None, '.')"), ("", "show('a.png')")],
)
def test_without_a_display_one_line_says_so(tmp_path, open_window, backend):
    Image.new("L", (9, 9)).save(tmp_path / "a.png")
    code = f"import window; window.{open_window}"
    result = run("-c", code, cwd=tmp_path, MPLBACKEND=backend)
    assert "OSError: no window can be opened: there" in result.stderr.splitlines()[-1]


def test_a_real_mouse_draws_in_a_real_window(trained_file, tmp_path):
    if not shutil.which("Xvfb") or not shutil.which("xdotool"):
        pytest.skip("Xvfb or xdotool is not installed")
    pytest.importorskip("tkinter", reason="this Python has no Tk")
    command = ["Xvfb", "-displayfd", "1", "-dpi", "96", "-screen", "0", "1000x600x24"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        display = f":{server.stdout.readline().decode().strip()}"
        mouse = "search --sync --name Draw.digits sleep 1 mousemove 200 150 mousedown 1"
        mouse += "".join(f" mousemove 200 {y} sleep 0.01" for y in range(150, 354, 4))
        mouse += " mouseup 1 sleep 1 key s sleep 1 key q"
        command = ["timeout", "60", "xdotool", *mouse.split()]
        options = ["--draw", "--model", trained_file, "--output", "p.png"]
        with subprocess.Popen(command, env=os.environ | {"DISPLAY": display}):
            result = run(ROOT / "predict.py", *options, cwd=tmp_path, DISPLAY=display)
        server.terminate()
    assert (result.returncode, result.stderr) == (0, "")
    saved, read, _ = result.stdout.splitlines()
    assert saved == "Saved drawing.png"
    assert read.startswith("drawing  1  ")
    ink = np.argwhere(np.asarray(Image.open(tmp_path / "drawing.png")) < 128)
    (top, left), (bottom, right) = ink.min(axis=0), ink.max(axis=0)
    assert (top, bottom) == pytest.approx((127, 456), abs=6)
    assert right - left == pytest.approx(PEN_WIDTH, abs=2)
