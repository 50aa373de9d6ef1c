"""Layers, losses and optimizers as a user writes them: in NumPy, and from kernels."""

import numpy as np

from fastnn import Layer, Loss, Optimizer, kernels


class Scale(Layer):
    """y = x * s, in NumPy."""

    def build(self, n_in):
        self.parameter("s", (n_in,), "ones")
        return n_in

    def forward(self, x):
        self.x = x
        return x * self.s

    def backward(self, dy):
        self.ds[:] = (dy * self.x).sum(axis=0)
        return dy * self.s


class Cube(Layer):
    """y = x^3 / 3, an activation in NumPy."""

    def forward(self, x):
        self.x = x
        return x**3 / 3

    def backward(self, dy):
        return dy * self.x**2


class Codes(Layer):
    """Columns 0 and 2 become codes, some of them unseen; in NumPy, with derivatives of 0."""

    def forward(self, x):
        y = x.copy()
        y[:, [0, 2]] = np.floor(2 * x[:, [0, 2]])
        y[x[:, 2] > 1, 2] = np.nan
        return y

    def backward(self, dy):
        dx = dy.copy()
        dx[:, [0, 2]] = 0
        return dx


class TanhOfSigmoid(Layer):
    """y = tanh(sigmoid(x @ w)), from kernels."""

    def build(self, n_in):
        self.parameter("w", (n_in, 6), "glorot_normal")
        return 6

    def _forward(self, x, y, run):
        self.kernels.dense_forward(x, self.w, None, y, "sigmoid", tape=run.tape)
        self.kernels.tanh_forward(y, y, run.tape)

    def _backward(self, x, y, dy, dx, run):
        s = np.empty_like(y)
        self.kernels.dense_forward(x, self.w, None, s, "sigmoid", tape=run.tape)
        self.kernels.tanh_backward(y, dy, dy, run.tape)
        self.kernels.sigmoid_backward(s, dy, dy, run.tape)
        self.kernels.dense_backward(x, self.w, dy, dx, self.dw, None, tape=run.tape)


class OwnSigmoid(Layer):
    """The sigmoid, from kernels: of a layer from outside, a loss does not know what it puts out."""

    def _forward(self, x, y, run):
        self.kernels.sigmoid_forward(x, y, run.tape)

    def _backward(self, x, y, dy, dx, run):
        if dx is not None:
            self.kernels.sigmoid_backward(y, dy, dx, run.tape)


class LogCosh(Loss):
    """The mean of log(cosh(y - t)), in NumPy, with weights."""

    def value_and_grad(self, y, t, weight=None):
        w = 1 if weight is None else weight[:, None]
        return (w * np.log(np.cosh(y - t))).mean(), (w * np.tanh(y - t) / y.size).astype(y.dtype)


class SaturatingMSE(Loss):
    """The mean squared error of tanh(y), from kernels."""

    def _value_and_grad(self, y, t, weight, dy, value, tape):
        k, bounded = kernels.of(y.dtype), np.empty_like(y)
        k.tanh_forward(y, bounded, tape)
        k.mse(bounded, t, weight, dy, value, tape)
        if dy is not None:
            k.tanh_backward(bounded, dy, dy, tape)


class SignSGD(Optimizer):
    """w -= lr * sign(g), in NumPy."""

    def update(self, params, grads):
        params -= self.lr * np.sign(grads)


class TwiceSGD(Optimizer):
    """Two steps with the same gradient, from kernels."""

    def _step(self, params, grads, state, tape):
        k = kernels.of(params.dtype)
        k.sgd(params, grads, None, self.cell("lr"), tape=tape)
        k.sgd(params, grads, None, self.cell("lr"), tape=tape)
