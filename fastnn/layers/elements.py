"""What runs in the place of layers: themselves, what is in them, or what stands for them in a prediction."""

from __future__ import annotations

from collections.abc import Sequence

from fastnn.layers.contract import Layer, LayerForms, forms
from fastnn.layers.declarations import PLAIN, Code


class Element:
    """What runs in the place of a layer, or of a part of it.

    Attributes
    ----------
    layer : Layer
    is_numpy : bool
        Whether its code is NumPy.
    code : Code
        What its kernels allow.
    around : tuple of Layer
        Itself and the layers that it is in: frozen, where one of them is.
    """

    __slots__ = ("around", "code", "is_numpy", "layer", "reads_rows")

    def __init__(self, layer: Layer, form: LayerForms, as_kernels: bool, around: tuple[Layer, ...]) -> None:
        self.layer, self.around, self.reads_rows = layer, around, form.reads_rows
        self.is_numpy = form.is_numpy and not as_kernels
        self.code: Code = layer.code if form.allows and not self.is_numpy else PLAIN


def elements(
    layers: Sequence[Layer],
    predicting: bool = False,
    as_kernels: Layer | None = None,
    around: tuple[Layer, ...] = (),
) -> list[Element]:
    """Return what runs one after the other in the place of layers.

    Parameters
    ----------
    layers : sequence of Layer
    predicting : bool
        Take what stands for each layer in a prediction.
    as_kernels : Layer or None
        Take this one as the kernels of its base class, also where its own code is NumPy: that is what calls it.
    around : tuple of Layer
        What the layers are in.
    """
    found: list[Element] = []
    for layer in layers:
        form, outer = forms(type(layer)), (*around, layer)
        stand_in = layer
        if predicting and (layer is as_kernels or not form.predicts_as_itself):
            found_for_prediction = layer.for_prediction()
            if found_for_prediction is None:
                continue
            stand_in = found_for_prediction
            form = forms(type(stand_in))
        if form.is_numpy and stand_in is not as_kernels:
            found.append(Element(stand_in, form, False, outer))
            continue
        for part in stand_in.in_a_row() if stand_in._children else (stand_in,):
            if part is stand_in:
                found.append(Element(stand_in, form, True, outer))
            else:
                found += elements((part,), predicting, None, outer)
    return found
