"""Two windows: one reads digits while they are drawn, the other shows a picture."""

import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
from matplotlib.backend_bases import Event, KeyEvent, MouseButton, MouseEvent
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as MplPath
from matplotlib.transforms import Affine2D, Bbox
from matplotlib.widgets import Button
from PIL import Image

# pyplot is imported inside functions: only opening a window needs it.

DPI = 100
WINDOW_SIZE = (1000, 600)  # pixels: size of the window when it opens
WIDTH, HEIGHT = 900, 720  # pixels: size of the paper, however large it is on the screen
PEN_WIDTH = 11  # pixels: 1.2 % of the paper's width, as a pen on a small note
MARGIN = 16  # pixels between the pen's centre and the edge: photos/ drops ink at the edge
MAX_CLICK = 4  # pixels: a stroke that is shorter is a click
POLL_INTERVAL = 30  # milliseconds between two checks for a finished reading
MAX_LIVE_TIME = 0.05  # seconds: if readings take longer, they wait for the stroke's end
CONTENT_BOTTOM = 0.13  # share of the window's height: lower edge of paper and side panel
TITLE_POINTS, TITLE_LENGTH = 20, 34  # points, characters: longer titles are smaller
MIN_LABEL_SPACE = 30  # pixels: with less space above its box, a label stands in the box
GREYS = {"window": "#ECECEC", "lines": "#BBBBBB", "bars": "#A8A8A8", "text": "#666666"}


class Answer(NamedTuple):
    """What was read on the paper: n digits, none by default."""

    title: str = ""  # such as "1812  97.3 %"
    boxes: np.ndarray = np.empty((0, 4))  # (n, 4): left, top, right, bottom in pixels
    pixels: np.ndarray = np.empty((0, 28, 28))  # (n, 28, 28) in [0, 1], as the network sees
    probabilities: np.ndarray = np.empty((0, 10))  # (n, 10)
    colors: Sequence[str] = ()  # (n,), of boxes, their labels and the highest bar


def draw(read: Callable[[np.ndarray], Answer], folder: str | Path) -> np.ndarray | None:
    """Open a window to draw in and wait until it is closed; see `DrawingWindow`.

    Returns the paper, (720, 900) uint8 with 255 for white, or None if nothing is drawn on
    it. Raises OSError where no window can be opened.
    """
    figure = open_figure(*WINDOW_SIZE, toolbar="None")
    figure.canvas.manager.set_window_title("Draw digits")
    window = DrawingWindow(figure, read, folder)
    wait_until_closed()
    return rasterize(window.strokes) if window.strokes else None


def show(path: str | Path) -> None:
    """Open the picture file in a window and wait until that is closed.

    Raises OSError where no window can be opened.
    """
    picture = np.asarray(Image.open(path))
    figure = open_figure(picture.shape[1], picture.shape[0])
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(picture)
    axes.set_axis_off()
    wait_until_closed()


def open_figure(width: int, height: int, **settings: str) -> Figure:
    """Open a window with a figure of `width` x `height` pixels.

    `settings` are matplotlib's for this figure. Raises OSError if no window can be opened.
    """
    from matplotlib import pyplot

    try:
        with matplotlib.rc_context(settings):
            figure = pyplot.figure(figsize=(width / DPI, height / DPI), dpi=DPI)
        opened = figure.canvas.required_interactive_framework is not None
    except Exception:  # each window system fails in its own way
        opened = False
    if not opened:
        raise OSError(
            "no window can be opened: there must be a display and a GUI toolkit for Python, "
            "such as Tk (on Debian and Ubuntu: sudo apt install python3-tk)"
        )
    return figure


def wait_until_closed() -> None:
    """Wait until all windows are closed, by the user or by Ctrl-C."""
    from matplotlib import pyplot

    interrupts = []

    def interrupt(*_: object) -> None:
        # Tk would print an exception raised here and go on, so it is raised later.
        interrupts.append(KeyboardInterrupt())
        pyplot.close("all")

    previous_handler = signal.signal(signal.SIGINT, interrupt)
    try:
        pyplot.show(block=True)
    finally:
        signal.signal(signal.SIGINT, previous_handler)
        pyplot.close("all")
    if interrupts:
        raise interrupts[0]


class DrawingWindow:
    """A figure with paper to draw digits on, what is read on it, and what the network sees.

    A click on a digit shows what the network sees and thinks of it. The figure may be in a
    window or in a notebook. Keep this object: without it, the figure stops working.
    """

    def __init__(
        self, figure: Figure, read: Callable[[np.ndarray], Answer], folder: str | Path = "."
    ) -> None:
        """Fill `figure`; save drawings in `folder`.

        `read` gets the paper, (720, 900) uint8 with 255 for white. It runs in a thread, so
        that the user can draw meanwhile.
        """
        self.figure, self.canvas, self.folder = figure, figure.canvas, Path(folder)
        self.read, self.reader = read, ThreadPoolExecutor(max_workers=1)
        self.pending: Future | None = None  # the reading that is not finished
        self.changed = False  # since the last reading was started
        self.reading_time = np.inf  # seconds that the last reading took
        self.answer = Answer()
        self.history = [[]]  # the finished strokes after each change, for undo
        self.stroke = []  # points (x, y) of the unfinished stroke
        # The last point drawn or clicked; the side panel shows the digit nearest to it.
        self.focus = (0, 0)
        figure.set_facecolor(GREYS["window"])
        self.lay_out_paper()
        self.lay_out_side_panel()
        self.lay_out_buttons()
        self.connect()
        self.canvas.draw()

    @property
    def strokes(self) -> list[list[tuple[float, float]]]:
        """The strokes on the paper, each as points (x, y) in its pixels."""
        return self.history[-1] + ([self.stroke] if self.stroke else [])

    def lay_out_paper(self) -> None:
        """Add the paper and what is drawn and written on it."""
        self.paper_axes = self.figure.add_axes((0.03, CONTENT_BOTTOM, 0.6, 0.76), anchor="W")
        self.paper_axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0), aspect="equal", navigate=False)
        self.paper_axes.set(xticks=[], yticks=[])
        self.paper_axes.spines[:].set_color(GREYS["lines"])
        style = {"fill": False, "capstyle": "round", "joinstyle": "round", "animated": True}
        self.ink = self.paper_axes.add_patch(PathPatch(curve([]), **style))
        self.tip = self.paper_axes.add_patch(PathPatch(curve([]), **style))
        self.marks = []  # boxes and their labels
        self.title = self.paper_axes.text(0, -14, "", animated=True)
        style = {"ha": "center", "color": GREYS["text"], "animated": True}
        self.hint = self.paper_axes.text(WIDTH / 2, HEIGHT / 2, "Draw digits here", **style)
        self.hint.set_fontsize(20)
        self.message = self.paper_axes.text(WIDTH / 2, HEIGHT - 20, "", fontsize=9, **style)

    def lay_out_side_panel(self) -> None:
        """Add the picture that the network sees of a digit, and a bar for each digit."""
        axes = self.figure.add_axes((0.7, 0.53, 0.27, 0.36), anchor="W")
        axes.set_title("What the network sees", loc="left", fontsize=11)
        axes.set_axis_off()
        black = np.zeros((28, 28))
        self.digit_image = axes.imshow(black, cmap="gray", vmin=0, vmax=1, animated=True)
        axes = self.figure.add_axes((0.7, CONTENT_BOTTOM, 0.2, 0.33), facecolor="none")
        axes.set_title("What it thinks", loc="left", fontsize=11)
        axes.set(xlim=(0, 1), ylim=(9.5, -0.5), xticks=[], yticks=range(10))
        axes.tick_params(length=0)
        axes.spines[:].set_color("none")
        axes.spines["left"].set_color(GREYS["lines"])
        self.bars = axes.barh(range(10), np.zeros(10), height=0.7, animated=True)
        style = {"va": "center_baseline", "fontsize": 9, "animated": True}
        self.bar_labels = [axes.text(0, n, "", **style) for n in range(10)]

    def lay_out_buttons(self) -> None:
        """Add the buttons below the paper, each named with its key."""
        actions = {
            "Undo (Ctrl-Z)": self.undo,
            "Clear (Esc)": self.clear,
            "Save (S)": self.save,
        }
        self.buttons = []
        for i, (name, action) in enumerate(actions.items()):
            axes = self.figure.add_axes((0.03 + 0.195 * i, 0.04, 0.18, 0.06))
            axes.spines[:].set_color(GREYS["lines"])
            button = Button(axes, name, color="white", hovercolor=GREYS["window"])
            button.on_clicked(lambda _, action=action: action())
            self.buttons.append(button)

    def connect(self) -> None:
        """Connect the figure's events to the methods, and disconnect matplotlib's own keys."""
        if self.canvas.manager:
            self.canvas.mpl_disconnect(self.canvas.manager.key_press_handler_id)
        for name, action in {
            "button_press_event": self.press,
            "motion_notify_event": self.move,
            "button_release_event": self.release,
            "key_press_event": self.press_key,
            "draw_event": self.keep_background,
            "close_event": self.close,
        }.items():
            self.canvas.mpl_connect(name, action)
        self.timer = self.canvas.new_timer(POLL_INTERVAL, [(self.poll, (), {})])
        self.timer.start()

    def press(self, event: MouseEvent) -> None:
        """Start a stroke."""
        if event.inaxes is self.paper_axes and event.button == MouseButton.LEFT:
            self.stroke = [self.position(event)]
            if self.hint.get_visible() or self.message.get_text():
                self.message.set_text("")
                self.redraw()
            self.draw_tip()

    def move(self, event: MouseEvent) -> None:
        """Extend the stroke."""
        if self.stroke:
            self.stroke.append(self.position(event))
            self.changed = True
            self.draw_tip()

    def draw_tip(self) -> None:
        """Draw the stroke's newest piece and nothing else: that takes a millisecond."""
        self.tip.set_path(curve(self.stroke[-3:]))
        self.tip.draw(self.canvas.get_renderer())
        width = self.tip.get_linewidth() * self.figure.dpi / 72
        self.canvas.blit(self.tip.get_window_extent().padded(width))

    def release(self, event: MouseEvent) -> None:
        """End the stroke; a click on a digit only chooses this digit."""
        if self.stroke and event.button == MouseButton.LEFT:
            stroke, self.stroke = self.stroke, []
            self.focus = stroke[-1]
            is_click = np.ptp(stroke, axis=0).max() < MAX_CLICK
            if not is_click or not (distances(self.answer.boxes, self.focus) == 0).any():
                self.history.append([*self.strokes, stroke])
            self.changed = True  # a reading during a click has its dot: read again
            self.redraw()

    def position(self, event: MouseEvent) -> tuple[float, float]:
        """Where on the paper an event happened, in its pixels and within its margin."""
        x, y = self.paper_axes.transData.inverted().transform((event.x, event.y))
        return np.clip(x, MARGIN, WIDTH - MARGIN), np.clip(y, MARGIN, HEIGHT - MARGIN)

    def press_key(self, event: KeyEvent) -> None:
        """Carry out the action of a key."""
        match (event.key or "").lower():
            case "ctrl+z" | "cmd+z" | "backspace":
                self.undo()
            case "escape" | "delete":
                self.clear()
            case "s":
                self.save()
            case "q":
                from matplotlib import pyplot

                pyplot.close(self.figure)

    def undo(self) -> None:
        """Drop the unfinished stroke, or undo the last stroke or the last clearing."""
        if not self.stroke and len(self.history) > 1:
            self.history.pop()
        self.discard_reading()

    def clear(self) -> None:
        """Clear the paper."""
        if self.history[-1]:
            self.history.append([])
        self.discard_reading()

    def discard_reading(self) -> None:
        """Remove the last reading and the unfinished stroke."""
        self.stroke, self.pending, self.changed = [], None, True
        self.focus = self.strokes[-1][-1] if self.strokes else (0, 0)
        self.answer = Answer()
        self.message.set_text("")
        self.redraw()

    def save(self) -> None:
        """Write the paper to drawing.png, or drawing-2.png and so on; print the path."""
        if not self.strokes:
            return
        names = (f"drawing-{n}.png" if n > 1 else "drawing.png" for n in count(1))
        path = next(self.folder / name for name in names if not (self.folder / name).exists())
        try:
            Image.fromarray(rasterize(self.strokes)).save(path)
        except OSError as error:
            print(f"{path} not saved: {error.strerror}", file=sys.stderr)
            self.message.set_text(f"{path.name} not saved: {error.strerror}")
        else:
            print(f"Saved {path}", flush=True)
            self.message.set_text(f"Saved as {path.name}")
        self.redraw()

    def poll(self) -> None:
        """Show a finished reading; start one if the paper has changed.

        During a stroke, only fast readings are started.
        """
        if self.stroke and self.reading_time > MAX_LIVE_TIME:
            return
        if self.pending and self.pending.done():
            finished, self.pending = self.pending, None
            self.answer = finished.result()
            self.redraw()
        if self.changed and self.strokes and not self.pending:
            self.changed = False
            self.pending = self.reader.submit(self.read_paper, rasterize(self.strokes))

    def read_paper(self, paper: np.ndarray) -> Answer:
        """Read the paper, (720, 900) uint8, and time it; runs in the reader's thread."""
        start = time.perf_counter()
        answer = self.read(paper)
        self.reading_time = time.perf_counter() - start
        return answer

    def keep_background(self, _event: Event) -> None:
        """Copy the window as matplotlib has drawn it, without the parts that change."""
        points = 72 / self.figure.dpi
        for patch in (self.ink, self.tip):
            patch.set_linewidth(PEN_WIDTH * self.paper_axes.bbox.width / WIDTH * points)
        area = Bbox([(0, CONTENT_BOTTOM - 0.01), (1, 1)])
        self.area = area.transformed(self.figure.transFigure)
        self.background = self.canvas.copy_from_bbox(self.area)
        self.redraw()

    def redraw(self) -> None:
        """Draw the parts that change: strokes, reading and side panel."""
        self.hint.set_visible(not self.strokes)
        self.ink.set_path(MplPath.make_compound_path(*map(curve, self.strokes)))
        self.title.set_text(self.answer.title)
        longest = max(TITLE_LENGTH, len(self.answer.title))
        self.title.set_fontsize(TITLE_POINTS * TITLE_LENGTH / longest)
        self.update_marks()
        self.update_side_panel()
        self.canvas.restore_region(self.background)
        for artist in (
            self.title,
            self.hint,
            self.ink,
            *self.marks,
            self.message,
            self.digit_image,
            *self.bars,
            *self.bar_labels,
        ):
            artist.draw(self.canvas.get_renderer())
        self.canvas.blit(self.area)

    @property
    def chosen_index(self) -> int:
        """The index of the digit nearest to the focus."""
        return int(distances(self.answer.boxes, self.focus).argmin())

    def update_marks(self) -> None:
        """Put a box with the answer around each digit, a thicker one around the chosen."""
        for mark in self.marks:
            mark.remove()
        self.marks = []
        answers = self.answer.probabilities.argmax(axis=1)
        for i, (left, top, right, bottom) in enumerate(self.answer.boxes):
            box = Rectangle((left, top), right - left, bottom - top, fill=False, animated=True)
            box.set(color=self.answer.colors[i], linewidth=2 if i == self.chosen_index else 1)
            label = self.paper_axes.text(left, top, answers[i], color="white", animated=True)
            label.set_bbox({"color": self.answer.colors[i], "pad": 2})
            label.set_verticalalignment("bottom" if top > MIN_LABEL_SPACE else "top")
            self.marks += [self.paper_axes.add_patch(box), label]

    def update_side_panel(self) -> None:
        """Show what the network sees and thinks of the chosen digit, if there is any."""
        pixels, probabilities = np.zeros((28, 28)), np.zeros(10)
        colors = [GREYS["bars"]] * 10
        if len(self.answer.boxes):
            pixels = self.answer.pixels[self.chosen_index]
            probabilities = self.answer.probabilities[self.chosen_index]
            colors[probabilities.argmax()] = self.answer.colors[self.chosen_index]
        self.digit_image.set_data(pixels)
        for i, share in enumerate(probabilities):
            self.bars[i].set(width=share, facecolor=colors[i])
            text = f"{100 * share:.1f} %" if share > 0.0005 else ""
            self.bar_labels[i].set(x=share + 0.03, text=text)

    def close(self, _event: Event) -> None:
        """Stop the timer and the thread."""
        self.timer.stop()
        self.reader.shutdown()


def curve(points: Sequence[tuple[float, float]]) -> MplPath:
    """A smooth curve along points (n, 2) with straight ends.

    Each inner point is the control point of a quadratic Bezier curve, which runs from the
    middle of the section before it to the middle of the section after it.
    """
    points = np.array(points, float).reshape(-1, 2)
    # The last point is moved by 0.01 pixels: a line without length would not be drawn.
    stops = np.vstack([(points[1:] + points[:-1]) / 2, points[-1:] + 0.01])
    vertices = np.stack([points, stops], axis=1).reshape(-1, 2)
    codes = [MplPath.MOVETO] * len(points[:1]) + [MplPath.CURVE3] * len(vertices)
    return MplPath(np.vstack([points[:1], vertices]), codes)


def rasterize(strokes: Sequence[Sequence[tuple[float, float]]]) -> np.ndarray:
    """Paper with strokes on it, (720, 900) uint8 with 255 for white."""
    renderer = RendererAgg(WIDTH, HEIGHT, dpi=72)
    pen = renderer.new_gc()
    pen.set_linewidth(PEN_WIDTH)
    pen.set_capstyle("round")
    pen.set_joinstyle("round")
    path = MplPath.make_compound_path(*map(curve, strokes))
    renderer.draw_path(pen, path, Affine2D().scale(1, -1).translate(0, HEIGHT))
    opacity = np.asarray(renderer.buffer_rgba())[..., 3]
    return 255 - opacity


def distances(boxes: np.ndarray, point: tuple[float, float]) -> np.ndarray:
    """The distances (n,) of a point from boxes (n, 4); 0 inside a box."""
    outside = np.maximum(boxes[:, :2] - point, point - boxes[:, 2:])
    return np.hypot(*np.maximum(outside, 0).T)
