# Optimizers: w -= what follows from dw, over one flat array of parameters; w, dw and what they remember (n), all apart.
# Numbers are cells, read at every run, so that a schedule needs no new recording. Units: elements. What is the same for
# all elements stands in integers: the compiler makes a loop for each case then, and vectors of all of them.

cdef inline real not_negative(real x) noexcept nogil:
    return 0 if x < 0 else x

cdef inline real decayed(real dw, real w, real weight_decay) noexcept nogil:
    return dw + weight_decay * w if weight_decay != 0 else dw       # 0 * infinity would be NaN


cdef struct SGD:
    Output w
    Input dw
    Output velocity
    Number lr, momentum, weight_decay
    Py_ssize_t nesterov, n

cdef int sgd_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const SGD *s = <const SGD *> call.payload
    cdef real[::1] w = vector(s.w, s.n), velocity = vector(s.velocity, s.n)
    cdef const real[::1] dw = input_vector(s.dw, s.n)
    cdef real lr = <real> s.lr[0], momentum = <real> s.momentum[0], weight_decay = <real> s.weight_decay[0], g
    cdef bint nesterov = s.nesterov, moving = s.velocity is not NULL and momentum != 0
    cdef Py_ssize_t i
    for i in range(begin, end):
        g = decayed(dw[i], w[i], weight_decay)
        if moving:
            velocity[i] = momentum * velocity[i] + g
            g = g + momentum * velocity[i] if nesterov else velocity[i]
        w[i] = real_fma(-lr, g, w[i])       # to the bit what a product that updates w itself does
    return 0

kernel("""sgd(w: inout (n), dw: in (n), velocity: inout (n) | None if momentum == 0, lr: cell,
    momentum: cell = 0.0 >= 0, weight_decay: cell = 0.0 >= 0, nesterov: flag = False) -> n: 0.2, updates

    Stochastic gradient descent (Sutskever et al. 2013, in PyTorch's form).

    g = dw + weight_decay * w; velocity = momentum * velocity + g; w -= lr * velocity, or, with Nesterov's momentum,
    w -= lr * (g + momentum * velocity). Without momentum the velocity rests.
    """, sgd_body, sizeof(SGD))


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


cdef struct Adam:
    Output w
    Input dw
    Output m, v
    Number lr, step, beta1, beta2, eps, weight_decay
    Py_ssize_t decoupled, n

cdef int adam_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Adam *s = <const Adam *> call.payload
    cdef real[::1] w = vector(s.w, s.n), m = vector(s.m, s.n), v = vector(s.v, s.n)
    cdef const real[::1] dw = input_vector(s.dw, s.n)
    cdef double correction1 = 1 - pow(s.beta1[0], s.step[0]), correction2 = 1 - pow(s.beta2[0], s.step[0])
    cdef real beta1 = <real> s.beta1[0], beta2 = <real> s.beta2[0], eps = <real> s.eps[0]
    cdef real rest1 = <real> (1 - s.beta1[0]), rest2 = <real> (1 - s.beta2[0])
    cdef real rate = <real> (s.lr[0] / correction1), root = <real> (1 / sqrt(correction2)), g
    cdef real coupled = 0 if s.decoupled else <real> s.weight_decay[0]
    cdef real keep = <real> (1 - s.lr[0] * s.weight_decay[0]) if s.decoupled else 1
    cdef Py_ssize_t i
    for i in range(begin, end):
        g = decayed(dw[i], w[i], coupled)
        m[i] = beta1 * m[i] + rest1 * g
        v[i] = beta2 * v[i] + rest2 * g * g
        w[i] = keep * w[i] - rate * m[i] / (square_root(v[i]) * root + eps)
    return 0

kernel("""adam(w: inout (n), dw: in (n), m: inout (n), v: inout (n), lr: cell, step: cell, beta1: cell = 0.9 >= 0 < 1,
    beta2: cell = 0.999 >= 0 < 1, eps: cell = 1e-8 >= 0, weight_decay: cell = 0.0 >= 0, decoupled: flag = True)
    -> n: 0.5, updates

    Adam (Kingma & Ba 2015), with decoupled weight decay (Loshchilov & Hutter 2019) or the coupled, older form.

    w *= 1 - lr * weight_decay (or, coupled, dw += weight_decay * w); m = beta1 * m + (1 - beta1) * dw;
    v = beta2 * v + (1 - beta2) * dw^2; w -= lr * m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps).
    step[0] is the number of this step, 1 for the first: `increment` counts it.
    """, adam_body, sizeof(Adam))


cdef struct Increment:
    double *step

cdef int increment_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    (<const Increment *> call.payload).step[0] += 1
    return 0

kernel("""increment(step: inout float64 (1)), updates

    step[0] += 1.
    """, increment_body, sizeof(Increment))
