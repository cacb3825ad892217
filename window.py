"""The window that reads digits while they are drawn: the drawing, and what shows it."""

import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot
from matplotlib.artist import Artist
from matplotlib.backend_bases import Event, KeyEvent, MouseButton, MouseEvent
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path as MplPath
from matplotlib.transforms import Affine2D
from matplotlib.widgets import Button
from PIL import Image

from cli import InputError, to_message
from photos import Reading
from plots import digit_colors, draw_boxes, percent

DPI = 100
WINDOW_SIZE = (1000, 600)  # pixels: width, height of the window when it opens
MIN_WINDOW_SIZE = (640, 400)  # pixels: in a smaller window, the texts would overlap
PAPER_SIZE = (900, 720)  # pixels: width, height of the paper, however large it is shown
PEN_WIDTH = 11  # pixels: 1.2 % of the paper's width, as a pen on a small note
PEN = {"color": "black", "fill": False, "capstyle": "round", "joinstyle": "round"}
MARGIN = 16  # pixels between the pen's centre and the edge: photos/ drops ink at the edge
MAX_CLICK = 4  # pixels: a stroke that is shorter is a click
POLL_INTERVAL = 30  # milliseconds between two checks for a finished reading
MAX_LIVE_TIME = 0.05  # seconds: if readings take longer, they wait for the stroke's end
CONTENT_BOTTOM = 0.13  # share of the window's height: lower edge of paper and side panel
TITLE_POINTS, TITLE_LENGTH = 20, 34  # points, characters: longer titles are smaller
GREYS = {"window": "#ECECEC", "lines": "#BBBBBB", "bars": "#A8A8A8", "text": "#666666"}

Point = Sequence[float]  # (x, y) in the paper's pixels
Read = Callable[[Image.Image], Reading]  # of the paper, by a model


def draw(figure: Figure, read: Read, folder: str | Path) -> Reading | None:
    """Let the user draw in the window of `figure`, from `open_figure`, until it is closed.

    `read` reads the paper; drawings are saved in `folder`. Returns the reading of the last
    drawing, or None if the paper is empty. Raises KeyboardInterrupt after Ctrl-C.
    """
    window = DrawingWindow(figure, read, folder)
    wait_until_closed()
    return window.final_reading()


class DrawingWindow:
    """A figure with paper to draw digits on and, beside it, what the network sees of a digit.

    The paper is read in a thread, so that the pen does not wait. What changes is drawn over a
    copy of the rest of the window: drawing all of it at each stroke would be slow.
    """

    def __init__(self, figure: Figure, read: Read, folder: str | Path) -> None:
        """Lay out `figure`, and react to mouse, keys and buttons; see `draw`."""
        self.figure, self.canvas, self.folder = figure, figure.canvas, Path(folder)
        self.drawing, self.pen_is_down = Drawing(), False
        self.focus = (0, 0)  # point drawn or clicked last: the digit nearest to it is shown
        self.read, self.executor = read, ThreadPoolExecutor(max_workers=1)
        self.changed = False  # whether the drawing has changed since `pending` was started
        self.pending: Future | None = None  # the reading that is not finished
        self.reading: Reading | None = None  # the last that is finished
        self.started, self.reading_time = 0.0, np.inf  # seconds
        self.lay_out_paper()
        self.lay_out_side_panel()
        self.lay_out_buttons()
        connect = self.canvas.mpl_connect
        connect("button_press_event", self.press)
        connect("motion_notify_event", self.move)
        connect("button_release_event", self.release)
        connect("key_press_event", self.press_key)
        connect("draw_event", self.keep_background)
        connect("close_event", lambda _: self.timer.stop())
        self.timer = self.canvas.new_timer(POLL_INTERVAL, [(self.poll, (), {})])
        self.timer.start()
        self.canvas.draw()

    def press(self, event: MouseEvent) -> None:
        """Start a stroke."""
        if event.inaxes is self.paper and event.button == MouseButton.LEFT:
            self.drawing.begin(self.position(event))
            self.pen_is_down = True
            self.message.set_text("")
            self.redraw()

    def move(self, event: MouseEvent) -> None:
        """Extend the stroke; draw its new piece and nothing else: that takes a millisecond."""
        if self.pen_is_down:
            self.drawing.extend(self.position(event))
            self.changed = True
            self.ink.set_path(curves([self.drawing.strokes[-1][-3:]]))
            self.ink.draw(self.canvas.get_renderer())
            self.canvas.blit(self.ink.get_window_extent().padded(self.ink.get_linewidth()))

    def release(self, event: MouseEvent) -> None:
        """Finish the stroke; a click on a digit draws nothing but shows this digit."""
        if self.pen_is_down and event.button == MouseButton.LEFT:
            stroke = self.drawing.strokes[-1]
            self.focus = stroke[-1]
            is_click = np.ptp(stroke, axis=0).max() < MAX_CLICK
            if is_click and self.reading and 0 in distances(self.reading.boxes, self.focus):
                self.drawing.undo()
            self.pen_is_down, self.changed = False, True  # a click's dot may have been read
            self.redraw()

    def position(self, event: MouseEvent) -> Point:
        """Where on the paper an event happened."""
        return self.paper.transData.inverted().transform((event.x, event.y))

    def press_key(self, event: KeyEvent) -> None:
        """Carry out the action of a key."""
        match (event.key or "").lower():
            case "ctrl+z" | "cmd+z" | "backspace":
                self.change(self.drawing.undo)
            case "escape" | "delete":
                self.change(self.drawing.clear)
            case "s":
                self.save()
            case "q":
                pyplot.close(self.figure)

    def change(self, action: Callable[[], None]) -> None:
        """Undo or clear, and forget the reading of what is no longer drawn."""
        action()
        self.pen_is_down = False
        self.reading, self.pending, self.changed = None, None, True
        self.focus = self.drawing.strokes[-1][-1] if self.drawing.strokes else (0, 0)
        self.message.set_text("")
        self.redraw()

    def save(self) -> None:
        """Save the drawing; print and show where, or why not."""
        try:
            path = self.drawing.save(self.folder)
            message = f"Saved as {path.name}"
            print(f"Saved {path}", flush=True)
        except (InputError, OSError) as error:
            message = f"Not saved: {to_message(error)}"
            print(message, file=sys.stderr)
        self.message.set_text(message)
        self.redraw()

    def poll(self) -> None:
        """Show a finished reading; start the next, during a stroke only if it will be fast."""
        if self.pending and self.pending.done():
            finished, self.pending = self.pending, None
            self.reading = finished.result()
            self.reading_time = time.perf_counter() - self.started
            self.redraw()
        waits = self.pen_is_down and self.reading_time > MAX_LIVE_TIME
        if self.changed and self.drawing.strokes and not self.pending and not waits:
            self.changed, self.started = False, time.perf_counter()
            self.pending = self.executor.submit(self.read, self.drawing.picture())

    def final_reading(self) -> Reading | None:
        """The reading of all that is drawn, or None if the paper is empty."""
        if not self.drawing.strokes:
            return None
        reading = self.pending.result() if self.pending else self.reading
        is_old = self.changed or self.pen_is_down
        return self.read(self.drawing.picture()) if is_old else reading

    def redraw(self) -> None:
        """Draw what changes, the animated artists, over the background."""
        self.hint.set_visible(not self.drawing.strokes)
        self.ink.set_path(curves(self.drawing.strokes))
        while self.marks:
            self.marks.pop().remove()
        title = ""
        if self.reading and self.reading.digits:
            title = f"{self.reading.text}  {percent(self.reading.confidence)}"
            self.mark_digits(self.reading)
        else:
            self.show_digit(np.zeros((28, 28)), np.zeros(10), GREYS["bars"])
            if self.reading and not self.pen_is_down:  # an unfinished digit may not be found
                title = "No digit found"
        self.title.set_text(title)
        self.title.set_fontsize(TITLE_POINTS * TITLE_LENGTH / max(TITLE_LENGTH, len(title)))
        self.canvas.restore_region(self.background)
        for artist in self.figure.findobj(Artist.get_animated):
            artist.draw(self.canvas.get_renderer())
        self.canvas.blit()

    def mark_digits(self, reading: Reading) -> None:
        """Put a box around each digit, and show the one nearest to the focus beside."""
        self.marks = draw_boxes(self.paper, reading, self.pixels_per_inch)
        pyplot.setp(self.marks, animated=True)
        nearest = distances(reading.boxes, self.focus).argmin()
        self.marks[2 * nearest].set_linewidth(2)
        color = digit_colors(reading)[nearest]
        self.show_digit(reading.pixels[nearest], reading.probabilities[nearest], color)

    def show_digit(self, pixels: np.ndarray, probabilities: np.ndarray, color: str) -> None:
        """Show a digit (28, 28) in [0, 1] and its probabilities (10,), the highest in color."""
        self.digit_image.set_data(pixels)
        for bar, label, share in zip(self.bars, self.bar_labels, probabilities, strict=True):
            is_highest = share == probabilities.max()
            bar.set(width=share, facecolor=color if is_highest else GREYS["bars"])
            label.set(x=share + 0.03, text=percent(share) if share > 0.0005 else "")

    def lay_out_paper(self) -> None:
        """Add the paper and what is drawn and written on it."""
        self.figure.set_facecolor(GREYS["window"])
        self.paper = self.figure.add_axes((0.03, CONTENT_BOTTOM, 0.6, 0.76), anchor="W")
        width, height = PAPER_SIZE
        self.paper.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], aspect="equal")
        self.paper.spines[:].set_color(GREYS["lines"])
        self.ink = self.paper.add_patch(PathPatch(curves([]), animated=True, **PEN))
        self.marks = []  # boxes and their labels
        self.title = self.paper.text(0, -14, "", animated=True)
        style = {"ha": "center", "color": GREYS["text"], "animated": True}
        self.hint = self.paper.text(width / 2, height / 2, "Draw digits here", size=20, **style)
        self.message = self.paper.text(width / 2, height - 20, "", fontsize=9, **style)

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
            "Undo (Ctrl-Z)": lambda _: self.change(self.drawing.undo),
            "Clear (Esc)": lambda _: self.change(self.drawing.clear),
            "Save (S)": lambda _: self.save(),
        }
        self.buttons = []
        for i, (name, action) in enumerate(actions.items()):
            axes = self.figure.add_axes((0.03 + 0.195 * i, 0.04, 0.18, 0.06))
            axes.spines[:].set_color(GREYS["lines"])
            button = Button(axes, name, color="white", hovercolor=GREYS["window"])
            button.on_clicked(action)
            self.buttons.append(button)

    def keep_background(self, _event: Event) -> None:
        """Keep the window as matplotlib has drawn it: without the animated artists."""
        self.pixels_per_inch = PAPER_SIZE[0] / self.paper.bbox.width * self.figure.dpi
        self.ink.set_linewidth(72 * PEN_WIDTH / self.pixels_per_inch)
        self.background = self.canvas.copy_from_bbox(self.figure.bbox)
        self.redraw()


def distances(boxes: np.ndarray, point: tuple[float, float]) -> np.ndarray:
    """The distances (n,) of a point from boxes (n, 4); 0 inside a box."""
    outside = np.maximum(boxes[:, :2] - point, point - boxes[:, 2:])
    return np.hypot(*np.maximum(outside, 0).T)


class Drawing:
    """Strokes on paper, each a list of points. Every change can be undone."""

    def __init__(self) -> None:
        """Begin with an empty paper."""
        self.history: list[list[list[Point]]] = [[]]  # the strokes after each change

    @property
    def strokes(self) -> list[list[Point]]:
        """The strokes on the paper."""
        return self.history[-1]

    def begin(self, point: Point) -> None:
        """Begin a stroke."""
        self.history.append([*self.strokes, []])
        self.extend(point)

    def extend(self, point: Point) -> None:
        """Add a point to the last stroke; keep the pen within the paper's margin."""
        self.strokes[-1].append(tuple(np.clip(point, MARGIN, np.subtract(PAPER_SIZE, MARGIN))))

    def clear(self) -> None:
        """Clear the paper."""
        if self.strokes:
            self.history.append([])

    def undo(self) -> None:
        """Undo the last stroke or the last clearing."""
        if len(self.history) > 1:
            self.history.pop()

    def picture(self) -> Image.Image:
        """The paper as a grey image, black on white."""
        renderer = RendererAgg(*PAPER_SIZE, dpi=72)
        upside_down = Affine2D().scale(1, -1).translate(0, PAPER_SIZE[1])
        ink = PathPatch(curves(self.strokes), lw=PEN_WIDTH, transform=upside_down, **PEN)
        ink.draw(renderer)
        opacity = np.asarray(renderer.buffer_rgba())[..., 3]
        return Image.fromarray(255 - opacity)

    def save(self, folder: Path) -> Path:
        """Write the paper to drawing.png, or drawing-2.png and so on; return the path.

        Raises InputError if the paper is empty, and OSError if the file cannot be written.
        """
        if not self.strokes:
            raise InputError("the paper is empty")
        names = (f"drawing-{n}.png" if n > 1 else "drawing.png" for n in count(1))
        path = next(folder / name for name in names if not (folder / name).exists())
        self.picture().save(path)
        return path


def curves(strokes: Sequence[Sequence[Point]]) -> MplPath:
    """A smooth curve with straight ends along the points of each stroke.

    Each inner point is the control point of a quadratic Bezier curve between the middles of
    the sections beside it.
    """
    paths = []
    for points in map(np.array, strokes):
        # The end is moved by 0.01 pixels: a line without length would not be drawn.
        stops = np.vstack([(points[1:] + points[:-1]) / 2, points[-1:] + 0.01])
        vertices = np.stack([points, stops], axis=1).reshape(-1, 2)
        codes = [MplPath.MOVETO] + [MplPath.CURVE3] * len(vertices)
        paths.append(MplPath([points[0], *vertices], codes))
    return MplPath.make_compound_path(*paths)


def open_figure() -> Figure:
    """A window with an empty figure, at most as large as the screen; `draw` shows it.

    Raises OSError where no window can be opened.
    """
    try:
        with matplotlib.rc_context({"toolbar": "None"}):
            figure = pyplot.figure("Draw digits", np.divide(WINDOW_SIZE, DPI), DPI)
        if figure.canvas.required_interactive_framework is None:
            raise RuntimeError("this backend opens no windows")
    except Exception as error:  # each window system fails in its own way
        raise OSError(
            "no window can be opened: there must be a display and a GUI toolkit for Python, "
            "such as Tk (on Debian and Ubuntu: sudo apt install python3-tk)"
        ) from error
    manager = figure.canvas.manager
    figure.canvas.mpl_disconnect(manager.key_press_handler_id)  # matplotlib's own keys
    window = getattr(manager, "window", None)
    if hasattr(window, "minsize"):  # Tk
        window.minsize(*MIN_WINDOW_SIZE)
        window.maxsize(window.winfo_screenwidth(), window.winfo_screenheight())
    elif hasattr(window, "setMinimumSize"):  # Qt
        window.setMinimumSize(*MIN_WINDOW_SIZE)
        window.setMaximumSize(window.screen().availableSize())
    return figure


def wait_until_closed() -> None:
    """Wait until the window is closed, by the user or by Ctrl-C."""
    interrupts = []

    def interrupt(*_: object) -> None:
        # Tk would print an exception raised here and go on, so it is raised later.
        interrupts.append(KeyboardInterrupt())
        pyplot.close("all")

    previous_handler = signal.signal(signal.SIGINT, interrupt)
    pyplot.show(block=True)
    signal.signal(signal.SIGINT, previous_handler)
    if interrupts:
        raise interrupts[0]
