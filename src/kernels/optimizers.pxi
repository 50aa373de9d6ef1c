# Optimizers: w -= what follows from dw, over one flat array of parameters; w, dw and what they remember (n), all apart.
# Numbers are cells, read at every run, so that a schedule needs no new recording. Units: elements. What is the same for
# all elements stands in integers: the compiler makes a loop for each case then, and vectors of all of them.

cdef extern from *:
    """
    #include <float.h>
    #define LARGEST ((real)(FASTNN_DOUBLE ? DBL_MAX : FLT_MAX))
    """
    real LARGEST

cdef inline real not_negative(real x) noexcept nogil:
    return 0 if x < 0 else x

cdef inline real larger(real x, real y) noexcept nogil:
    cdef real most = y if y > x else x
    return most if y == y else y        # a NaN stays, whichever it is

cdef inline real signum(real x) noexcept nogil:
    return <real> 1 if x > 0 else <real> -1 if x < 0 else x

cdef inline real decayed(real dw, real w, real weight_decay) noexcept nogil:
    return dw + weight_decay * w if weight_decay != 0 else dw       # 0 * infinity would be NaN


cdef struct SGD:
    Output w
    Input dw
    Output velocity
    Number lr, momentum, weight_decay
    Py_ssize_t nesterov
    Number dampening, step
    Py_ssize_t n

cdef int sgd_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const SGD *s = <const SGD *> call.payload
    cdef real[::1] w = vector(s.w, s.n), velocity = vector(s.velocity, s.n)
    cdef const real[::1] dw = input_vector(s.dw, s.n)
    cdef real lr = <real> s.lr[0], momentum = <real> s.momentum[0], weight_decay = <real> s.weight_decay[0], g
    cdef real rest = <real> 1 if s.step[0] == 1 else <real> (1 - s.dampening[0])
    cdef bint nesterov = s.nesterov, moving = s.velocity is not NULL and momentum != 0
    cdef bint is_plain = not moving and weight_decay == 0
    cdef size_t before = subnormals_are_kept() if is_plain else 0
    cdef Py_ssize_t i
    for i in range(begin, end):
        g = decayed(dw[i], w[i], weight_decay)
        if moving:
            velocity[i] = momentum * velocity[i] + rest * g
            g = g + momentum * velocity[i] if nesterov else velocity[i]
        w[i] = real_fma(-lr, g, w[i])       # to the bit what a product that updates w itself does
    if is_plain:
        subnormals_as(before)
    return 0

kernel("""sgd(w: inout (n), dw: in (n), velocity: inout (n) | None if momentum == 0, lr: cell,
    momentum: cell = 0.0 >= 0, weight_decay: cell = 0.0 >= 0, nesterov: flag = False,
    dampening: cell = 0.0 >= 0 < 1, step: cell = 0.0) -> n: 0.2, updates

    Stochastic gradient descent (Sutskever et al. 2013, in PyTorch's form).

    g = dw + weight_decay * w; velocity = momentum * velocity + (1 - dampening) * g; w -= lr * velocity, or, with
    Nesterov's momentum, w -= lr * (g + momentum * velocity). Without momentum the velocity rests. Where step[0] is 1, g
    counts whole. With neither momentum nor weight_decay, subnormal numbers are no zeros.
    """, sgd_body, sizeof(SGD))


cdef struct Lion:
    Output w
    Input dw
    Output m
    Number lr, beta1, beta2, weight_decay
    Py_ssize_t n

cdef int lion_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Lion *s = <const Lion *> call.payload
    cdef real[::1] w = vector(s.w, s.n), m = vector(s.m, s.n)
    cdef const real[::1] dw = input_vector(s.dw, s.n)
    cdef real beta1 = <real> s.beta1[0], rest1 = <real> (1 - s.beta1[0]), lr = <real> s.lr[0]
    cdef real beta2 = <real> s.beta2[0], rest2 = <real> (1 - s.beta2[0])
    cdef real keep = <real> (1 - s.lr[0] * s.weight_decay[0])
    cdef Py_ssize_t i
    for i in range(begin, end):
        w[i] = keep * w[i] - lr * signum(beta1 * m[i] + rest1 * dw[i])
        m[i] = beta2 * m[i] + rest2 * dw[i]
    return 0

kernel("""lion(w: inout (n), dw: in (n), m: inout (n), lr: cell, beta1: cell = 0.9 >= 0 < 1,
    beta2: cell = 0.99 >= 0 < 1, weight_decay: cell = 0.0 >= 0) -> n: 0.3, updates

    Lion (Chen et al. 2023).

    w = (1 - lr * weight_decay) * w - lr * sign(beta1 * m + (1 - beta1) * dw); m = beta2 * m + (1 - beta2) * dw.
    """, lion_body, sizeof(Lion))


cdef struct Rprop:
    Output w
    Input dw
    Output previous, size
    Number lr, eta_minus, eta_plus, min_step, max_step
    Py_ssize_t n

cdef int rprop_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Rprop *s = <const Rprop *> call.payload
    cdef real[::1] w = vector(s.w, s.n), previous = vector(s.previous, s.n), size = vector(s.size, s.n)
    cdef const real[::1] dw = input_vector(s.dw, s.n)
    cdef real lr = <real> s.lr[0], shrink = <real> s.eta_minus[0], grow = <real> s.eta_plus[0], agreement, length, g
    # Sizes are in units of lr, so that lr moves all of them at any time; one of 0 leaves them without bounds.
    cdef real least = <real> min(s.min_step[0] / s.lr[0], <double> LARGEST) if s.lr[0] > 0 else 0
    cdef real most = <real> min(s.max_step[0] / s.lr[0], <double> LARGEST) if s.lr[0] > 0 else LARGEST
    cdef Py_ssize_t i
    for i in range(begin, end):
        agreement = dw[i] * previous[i]
        length = size[i] * (grow if agreement > 0 else shrink if agreement < 0 else <real> 1)
        length = least if length < least else length
        length = most if length > most else length
        g = 0 if agreement < 0 else dw[i]
        size[i] = length
        previous[i] = g
        length *= lr
        w[i] -= length if g > 0 else -length if g < 0 else g
    return 0

kernel("""rprop(w: inout (n), dw: in (n), previous: inout (n), size: inout (n), lr: cell, eta_minus: cell = 0.5 > 0 < 1,
    eta_plus: cell = 1.2 > 1, min_step: cell = 1e-6 >= 0, max_step: cell = 50.0 >= 0) -> n: 0.3, updates

    Rprop (Riedmiller & Braun 1993), in PyTorch's form.

    size *= eta_plus where dw and previous have the same sign, eta_minus where they have not, and then dw counts as 0;
    size = min(max(size, min_step / lr), max_step / lr); w -= lr * size * sign(dw); previous = dw.
    """, rprop_body, sizeof(Rprop))


cdef struct RMSprop:
    Output w
    Input dw
    Output square, mean, velocity
    Number lr, alpha, eps, momentum, weight_decay
    Py_ssize_t centered, n

cdef int rmsprop_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const RMSprop *s = <const RMSprop *> call.payload
    cdef real[::1] w = vector(s.w, s.n), square = vector(s.square, s.n)
    cdef real[::1] mean = vector(s.mean, s.n), velocity = vector(s.velocity, s.n)
    cdef const real[::1] dw = input_vector(s.dw, s.n)
    cdef real lr = <real> s.lr[0], alpha = <real> s.alpha[0], rest = <real> (1 - s.alpha[0]), eps = <real> s.eps[0]
    cdef real momentum = <real> s.momentum[0], weight_decay = <real> s.weight_decay[0], g, variance
    cdef bint centered = s.centered, moving = s.velocity is not NULL and momentum != 0
    cdef Py_ssize_t i
    for i in range(begin, end):
        g = decayed(dw[i], w[i], weight_decay)
        square[i] = variance = alpha * square[i] + rest * g * g
        if centered:
            mean[i] += rest * (g - mean[i])
            variance = not_negative(variance - mean[i] * mean[i])
        g /= square_root(variance) + eps
        if moving:
            velocity[i] = g = momentum * velocity[i] + g
        w[i] -= lr * g
    return 0

kernel("""rmsprop(w: inout (n), dw: in (n), square: inout (n), mean: inout (n) | None if centered == 0,
    velocity: inout (n) | None if momentum == 0, lr: cell, alpha: cell = 0.99 >= 0 < 1, eps: cell = 1e-8 >= 0,
    momentum: cell = 0.0 >= 0, weight_decay: cell = 0.0 >= 0, centered: flag = False) -> n: 0.5, updates

    RMSprop (Tieleman & Hinton 2012; Graves 2013 for the centered form), in PyTorch's form.

    g = dw + weight_decay * w; square = alpha * square + (1 - alpha) * g^2; variance = square, or, centered,
    mean += (1 - alpha) * (g - mean) and variance = square - mean^2 (0 where rounding makes it less);
    g /= sqrt(variance) + eps; with momentum, velocity = momentum * velocity + g stands for g; w -= lr * g.
    """, rmsprop_body, sizeof(RMSprop))


cdef struct Adagrad:
    Output w
    Input dw
    Output square
    Number lr, step, lr_decay, weight_decay, eps
    Py_ssize_t n

cdef int adagrad_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Adagrad *s = <const Adagrad *> call.payload
    cdef real[::1] w = vector(s.w, s.n), square = vector(s.square, s.n)
    cdef const real[::1] dw = input_vector(s.dw, s.n)
    cdef real rate = <real> (s.lr[0] / (1 + (s.step[0] - 1) * s.lr_decay[0])), eps = <real> s.eps[0], g
    cdef real weight_decay = <real> s.weight_decay[0]
    cdef Py_ssize_t i
    for i in range(begin, end):
        g = dw[i] + weight_decay * w[i]
        square[i] += g * g
        w[i] -= rate * g / (square_root(square[i]) + eps)
    return 0

kernel("""adagrad(w: inout (n), dw: in (n), square: inout (n), lr: cell, step: cell, lr_decay: cell = 0.0 >= 0,
    weight_decay: cell = 0.0 >= 0, eps: cell = 1e-10 >= 0) -> n: 0.4, updates

    Adagrad (Duchi, Hazan & Singer 2011), in PyTorch's form.

    g = dw + weight_decay * w; square += g^2; w -= lr / (1 + (step - 1) * lr_decay) * g / (sqrt(square) + eps).
    step[0] is the number of this step, 1 for the first.
    """, adagrad_body, sizeof(Adagrad))


cdef struct Adadelta:
    Output w
    Input dw
    Output square, change
    Number lr, rho, eps, weight_decay
    Py_ssize_t n

cdef int adadelta_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Adadelta *s = <const Adadelta *> call.payload
    cdef real[::1] w = vector(s.w, s.n), square = vector(s.square, s.n), change = vector(s.change, s.n)
    cdef const real[::1] dw = input_vector(s.dw, s.n)
    cdef real lr = <real> s.lr[0], rho = <real> s.rho[0], rest = <real> (1 - s.rho[0]), eps = <real> s.eps[0], g
    cdef real weight_decay = <real> s.weight_decay[0]
    cdef Py_ssize_t i
    for i in range(begin, end):
        g = dw[i] + weight_decay * w[i]
        square[i] = rho * square[i] + rest * g * g
        g *= square_root((change[i] + eps) / (square[i] + eps))
        change[i] = rho * change[i] + rest * g * g
        w[i] -= lr * g
    return 0

kernel("""adadelta(w: inout (n), dw: in (n), square: inout (n), change: inout (n), lr: cell, rho: cell = 0.9 >= 0 < 1,
    eps: cell = 1e-6 >= 0, weight_decay: cell = 0.0 >= 0) -> n: 0.5, updates

    Adadelta (Zeiler 2012), in PyTorch's form.

    g = dw + weight_decay * w; square = rho * square + (1 - rho) * g^2; g *= sqrt((change + eps) / (square + eps));
    change = rho * change + (1 - rho) * g^2; w -= lr * g.
    """, adadelta_body, sizeof(Adadelta))


cdef struct Increment:
    double *step

cdef int increment_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    (<const Increment *> call.payload).step[0] += 1
    return 0

kernel("""increment(step: inout float64 (1)), updates

    step[0] += 1.
    """, increment_body, sizeof(Increment))
