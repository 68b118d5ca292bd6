"""A message written over the picture: a title and, below it, a wrapped text."""

import textwrap

from vtkmodules.vtkRenderingCore import vtkActor2D, vtkRenderer, vtkTextMapper

_WRAP = 64


class Caption:
    """Text in the middle of a renderer's picture; nothing at first."""

    def __init__(self, renderer: vtkRenderer) -> None:
        self._title, title = _line(renderer)
        self._text, text = _line(renderer)
        self._actors = (title, text)
        self._mappers = (self._title, self._text)

    def say(self, title: str, text: str) -> None:
        """Write; empty strings take the message away."""
        lines = textwrap.wrap(text, _WRAP, break_long_words=True)
        self._title.SetInput(f"  {title}  ")
        self._text.SetInput("\n".join(f"  {line}  " for line in lines))
        self._actors[0].SetVisibility(bool(title))
        self._actors[1].SetVisibility(bool(lines))

    def fit(self, width: int, height: int) -> None:
        """Place the message for a picture of this size."""
        size = max(min(height // 22, width // 34), 8)
        for mapper, part in ((self._title, 1.0), (self._text, 0.6)):
            mapper.GetTextProperty().SetFontSize(round(size * part))
        self._actors[0].SetPosition(width // 2, height // 2 + size)
        self._actors[1].SetPosition(width // 2, height // 2 - size // 2)


def _line(renderer: vtkRenderer) -> tuple[vtkTextMapper, vtkActor2D]:
    # Importing the module registers the font renderer with VTK's object factory.
    import vtkmodules.vtkRenderingFreeType  # noqa: F401

    mapper, actor = vtkTextMapper(), vtkActor2D()
    style = mapper.GetTextProperty()
    style.SetColor(0.10, 0.14, 0.19)
    style.SetBackgroundColor(0.93, 0.95, 0.97)
    style.SetBackgroundOpacity(0.85)
    style.SetJustificationToCentered()
    style.SetVerticalJustificationToTop()
    style.SetLineSpacing(1.25)
    actor.SetMapper(mapper)
    actor.VisibilityOff()
    renderer.AddViewProp(actor)
    return mapper, actor
