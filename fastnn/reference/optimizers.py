"""Optimizers: w, dw and what they remember (n)."""
# ruff: noqa: D403 - a docstring that is a formula starts with the name of what it computes

from __future__ import annotations

import numpy as np

from fastnn.reference.transforms import block_squares
from fastnn.reference.types import Array, Cell


def _decayed(w: Array, dw: Array, lr: float, weight_decay: float, decoupled: bool) -> Array:
    """Return the gradient with weight decay as a part of it, or let w decay now."""
    if weight_decay and decoupled:
        w *= 1 - lr * weight_decay
    return dw + weight_decay * w if weight_decay and not decoupled else dw


def _average(mean: Array, x: Array, beta: float) -> None:
    """mean = beta mean + (1 - beta) x."""
    mean *= beta
    mean += (1 - beta) * x


def sgd(
    w: Array,
    dw: Array,
    velocity: Array | None,
    lr: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
    dampening: float = 0.0,
    step: float = 0.0,
) -> None:
    """w -= lr g, g = dw + weight_decay w; with momentum, velocity = momentum velocity + (1 - dampening) g stands for g.

    Nesterov's step is lr (g + momentum velocity): PyTorch's convention of Sutskever, Martens, Dahl & Hinton 2013.
    The velocity may be None when momentum is 0. In step 1, g counts whole.
    """
    g = dw + weight_decay * w if weight_decay else dw
    if momentum:
        if velocity is None:
            raise ValueError("sgd: velocity is None, expected an array, because momentum is not 0")
        velocity *= momentum
        velocity += g if step == 1 else (1 - dampening) * g
        g = g + momentum * velocity if nesterov else velocity
    w -= lr * g


def rmsprop(
    w: Array,
    dw: Array,
    square: Array,
    mean: Array | None,
    velocity: Array | None,
    lr: float,
    alpha: float = 0.99,
    eps: float = 1e-8,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    centered: bool = False,
) -> None:
    """square = alpha square + (1 - alpha) g^2; w -= lr g / (sqrt(square) + eps) (Tieleman & Hinton 2012; PyTorch).

    g = dw + weight_decay w. Centered, mean += (1 - alpha) (g - mean), and square - mean^2 stands for the square (Graves
    2013). With momentum, velocity = momentum velocity + g / (...), and w -= lr velocity.
    """
    g = dw + weight_decay * w if weight_decay else dw
    square *= alpha
    square += (1 - alpha) * np.square(g)
    variance = square
    if centered:
        if mean is None:
            raise ValueError("rmsprop: mean is None, expected an array, because it is centered")
        mean += (1 - alpha) * (g - mean)
        variance = np.maximum(square - mean * mean, 0)
    g = g / (np.sqrt(variance) + eps)
    if momentum:
        if velocity is None:
            raise ValueError("rmsprop: velocity is None, expected an array, because momentum is not 0")
        velocity *= momentum
        velocity += g
        g = velocity
    w -= lr * g


def adam(
    w: Array,
    dw: Array,
    m: Array,
    v: Array,
    lr: float,
    step: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = True,
    largest: Array | None = None,
    eps_hat: bool = False,
) -> None:
    """m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; w -= lr m^ / (sqrt(v^) + eps) (Kingma & Ba 2015).

    m^ = m / (1 - beta1^step), v^ = v / (1 - beta2^step), and step is 1 in the first call. Weight decay is decoupled,
    w *= 1 - lr weight_decay (Loshchilov & Hutter 2019), or part of the gradient, g = dw + weight_decay w.
    AMSGrad: largest = max(largest, v) stands for v in the step (Reddi, Kale & Kumar 2018). The paper's eps^, with
    eps_hat, is eps / sqrt(1 - beta2^step).
    """
    g = _decayed(w, dw, lr, weight_decay, decoupled)
    _average(m, g, beta1)
    _average(v, np.square(g), beta2)
    square, correction = v if largest is None else np.maximum(largest, v, out=largest), 1 - beta2**step
    if eps_hat:
        eps /= np.sqrt(correction)
    w -= lr / (1 - beta1**step) * m / (np.sqrt(square / correction) + eps)


def lion(
    w: Array,
    dw: Array,
    m: Array,
    lr: float,
    beta1: float = 0.9,
    beta2: float = 0.99,
    weight_decay: float = 0.0,
) -> None:
    """w = (1 - lr weight_decay) w - lr sign(beta1 m + (1 - beta1) dw), then m = beta2 m + (1 - beta2) dw.

    Chen et al. 2023.
    """
    w *= 1 - lr * weight_decay
    w -= lr * np.sign(beta1 * m + (1 - beta1) * dw)
    _average(m, dw, beta2)


def rprop(
    w: Array,
    dw: Array,
    previous: Array,
    size: Array,
    lr: float,
    eta_minus: float = 0.5,
    eta_plus: float = 1.2,
    min_step: float = 1e-6,
    max_step: float = 50.0,
) -> None:
    """w -= lr size sign(g); size grows where g = dw has the sign of the previous, else it shrinks, and g = 0.

    lr size stays within min_step and max_step, but for an lr of 0 (Riedmiller & Braun 1993, in PyTorch's form).
    """
    largest = float(np.finfo(w.dtype).max)
    agreement = dw * previous
    size *= np.where(
        agreement > 0, w.dtype.type(eta_plus), np.where(agreement < 0, w.dtype.type(eta_minus), w.dtype.type(1))
    )
    low, high = (min(min_step / lr, largest), min(max_step / lr, largest)) if lr > 0 else (0.0, largest)
    np.clip(size, low, high, out=size)
    previous[...] = np.where(agreement < 0, 0, dw)
    w -= np.where(previous == 0, 0, lr * size * np.sign(previous))


def adagrad(
    w: Array,
    dw: Array,
    square: Array,
    lr: float,
    step: float,
    lr_decay: float = 0.0,
    weight_decay: float = 0.0,
    eps: float = 1e-10,
) -> None:
    """square += g^2; w -= lr / (1 + (step - 1) lr_decay) g / (sqrt(square) + eps), g = dw + weight_decay w.

    Duchi, Hazan & Singer 2011, in PyTorch's form.
    """
    g = _decayed(w, dw, 0.0, weight_decay, False)
    square += np.square(g)
    w -= lr / (1 + (step - 1) * lr_decay) * g / (np.sqrt(square) + eps)


def adadelta(
    w: Array,
    dw: Array,
    square: Array,
    change: Array,
    lr: float,
    rho: float = 0.9,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> None:
    """w -= lr d, d = sqrt(change + eps) / sqrt(square + eps) g, with means of g^2 and of d^2 (Zeiler 2012; PyTorch).

    square = rho square + (1 - rho) g^2 before, change = rho change + (1 - rho) d^2 behind; g = dw + weight_decay w.
    """
    g = _decayed(w, dw, 0.0, weight_decay, False)
    _average(square, np.square(g), rho)
    d = np.sqrt((change + eps) / (square + eps)) * g
    _average(change, np.square(d), rho)
    w -= lr * d


def nadam(
    w: Array,
    dw: Array,
    m: Array,
    v: Array,
    lr: float,
    step: float,
    product: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    momentum_decay: float = 4e-3,
    decoupled: bool = False,
) -> None:
    """Adam with Nesterov's momentum (Dozat 2016, in PyTorch's form): w -= lr m^ / (sqrt(v^) + eps).

    m^ = (1 - mu_t) g / (1 - product) + mu_(t+1) m / (1 - product mu_(t+1)), t = step, product = mu_1 ... mu_t,
    mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2). Weight decay is that of `adam`.
    """
    g = _decayed(w, dw, lr, weight_decay, decoupled)
    _average(m, g, beta1)
    _average(v, np.square(g), beta2)
    now, following = (_nadam_momentum(beta1, t, momentum_decay) for t in (step, step + 1))
    of_g, of_m = lr * (1 - now) / (1 - product), lr * following / (1 - product * following)
    w -= (of_g * g + of_m * m) / (np.sqrt(v / (1 - beta2**step)) + eps)


def _nadam_momentum(beta1: float, step: float, momentum_decay: float) -> float:
    return float(beta1 * (1 - 0.5 * 0.96 ** (step * momentum_decay)))


def nadam_product(product: Cell, step: float, beta1: float = 0.9, momentum_decay: float = 4e-3) -> None:
    """product *= beta1 (1 - 0.96^(step momentum_decay) / 2)."""
    product *= _nadam_momentum(beta1, step, momentum_decay)


def radam(
    w: Array,
    dw: Array,
    m: Array,
    v: Array,
    lr: float,
    step: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> None:
    """w -= lr m^ r sqrt(1 - beta2^step) / (sqrt(v) + eps), or w -= lr m^ in the first steps (Liu et al. 2020).

    m^ = m / (1 - beta1^step); with all = 2 / (1 - beta2) - 1 and now = all - 2 step beta2^step / (1 - beta2^step),
    where that is above 5, r^2 = (now - 4) (now - 2) all / ((all - 4) (all - 2) now). Weight decay is that of `adam`.
    """
    g = _decayed(w, dw, lr, weight_decay, decoupled)
    _average(m, g, beta1)
    _average(v, np.square(g), beta2)
    power, full = beta2**step, 2 / (1 - beta2) - 1
    now = full - 2 * step * power / (1 - power)
    lr /= 1 - beta1**step
    if now > 5:
        r = np.sqrt((now - 4) * (now - 2) * full / ((full - 4) * (full - 2) * now))
        w -= float(lr * r * np.sqrt(1 - power)) * m / (np.sqrt(v) + eps)
    else:
        w -= lr * m


def schedule_free_adamw(
    w: Array,
    dw: Array,
    z: Array,
    x: Array,
    v: Array,
    lr: float,
    step: float,
    part: float,
    before: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> None:
    """z -= lr (dw / (sqrt(v^) + eps) + weight_decay w); x += part (z - x); w = beta1 x + (1 - beta1) z.

    Defazio et al. 2024: v = beta2 v + (1 - beta2) dw^2, v^ = v / (1 - beta2^step). Before all, z and x move by what w
    has been moved from before x + (1 - before) z.
    """
    moved = w - (z + before * (x - z))
    _average(v, np.square(dw), beta2)
    at = dw / (np.sqrt(v / (1 - beta2**step)) + eps)
    z += moved - lr * (at + weight_decay * w if weight_decay else at)
    x += moved
    x += part * (z - x)
    w[...] = z + beta1 * (x - z)


def schedule_free_part(
    largest: Cell, total: Cell, part: Cell, before: Cell, now: Cell, lr: float, beta1: float
) -> None:
    """largest = max(largest, lr); total += largest^2; part = largest^2 / total, 0 of 0; before = now, now = beta1."""
    before[0], now[0] = now[0], beta1
    largest[0] = max(largest[0], lr)
    total[0] += largest[0] ** 2
    part[0] = largest[0] ** 2 / total[0] if total[0] > 0 else 0


def adamax(
    w: Array,
    dw: Array,
    m: Array,
    u: Array,
    lr: float,
    step: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> None:
    """u = max(beta2 u, |g| + eps); w -= lr / (1 - beta1^step) m / u, m as in `adam` (Kingma & Ba 2015; PyTorch).

    g = dw + weight_decay w.
    """
    g = _decayed(w, dw, 0.0, weight_decay, False)
    _average(m, g, beta1)
    np.maximum(beta2 * u, np.abs(g) + eps, out=u)
    w -= lr / (1 - beta1**step) * m / u


def lamb(
    w: Array,
    dw: Array,
    m: Array,
    v: Array,
    u: Array,
    squares: Cell,
    step: float,
    beta1: float = 0.9,
    beta2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> None:
    """u = m^ / (sqrt(v^) + eps) + weight_decay w, m^ and v^ as in `adam`, and the sums of squares of blocks of w and u.

    The step of LAMB is w -= rate u, the rate that of `trust_rate` (You et al. 2020).
    """
    _average(m, dw, beta1)
    _average(v, np.square(dw), beta2)
    u[...] = m / (1 - beta1**step) / (np.sqrt(v / (1 - beta2**step)) + eps)
    if weight_decay:
        u += weight_decay * w
    block_squares(w, squares[0])
    block_squares(u, squares[1])


def trust_rate(squares: Cell, lr: float, rate: Cell) -> None:
    """rate = lr |w| / |u|, or lr where one of the norms is 0; squares (2, blocks) sum to those of the norms."""
    of_w, of_u = squares.sum(axis=1)
    rate[0] = lr * (np.sqrt(of_w) / np.sqrt(of_u)) if of_w > 0 and of_u > 0 else lr


def increment(step: Cell) -> None:
    """step += 1."""
    step += 1
