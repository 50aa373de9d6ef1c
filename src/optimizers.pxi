# Optimizers: w -= what follows from dw, over one flat array of parameters; w, dw, velocity, m, v (n), all apart.
# lr (1) and step (1) are cells, read at every run, so that a schedule needs no new recording. Units: elements.

cdef inline real decayed(real dw, real w, real weight_decay) noexcept nogil:
    return dw + weight_decay * w if weight_decay != 0 else dw       # 0 * infinity would be NaN


cdef int sgd_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef real *w = <real *> s.w
    cdef const real *dw = <const real *> s.dw
    cdef real *velocity = <real *> s.v
    cdef real lr = <real> s.lr[0], momentum = <real> s.momentum, weight_decay = <real> s.weight_decay, g
    cdef Py_ssize_t i
    if momentum == 0 and weight_decay == 0:      # as dense_sgd does it
        for i in range(begin, end):
            w[i] = real_fma(-lr, dw[i], w[i])
    elif momentum == 0:
        for i in range(begin, end):
            w[i] -= lr * decayed(dw[i], w[i], weight_decay)
    elif s.flag:
        for i in range(begin, end):
            g = decayed(dw[i], w[i], weight_decay)
            velocity[i] = momentum * velocity[i] + g
            w[i] -= lr * (g + momentum * velocity[i])
    else:
        for i in range(begin, end):
            velocity[i] = momentum * velocity[i] + decayed(dw[i], w[i], weight_decay)
            w[i] -= lr * velocity[i]
    return 0

def sgd(
    w, dw, velocity, lr, double momentum=0.0, double weight_decay=0.0, bint nesterov=False, Tape tape=None
):
    """Stochastic gradient descent (Sutskever et al. 2013, in PyTorch's form).

    g = dw + weight_decay * w; velocity = momentum * velocity + g; w -= lr * velocity, or, with Nesterov's momentum,
    w -= lr * (g + momentum * velocity). velocity may be None where momentum is 0, and rests then.
    """
    cdef real[::1] w_view = output_vector("sgd", "w", w)
    cdef const real[::1] dw_view = vector("sgd", "dw", dw)
    cdef real[::1] velocity_view
    cdef Step step
    same_length("sgd", "dw", dw_view.shape[0], "w", w_view.shape[0])
    not_negative("sgd", "momentum", momentum)
    not_negative("sgd", "weight_decay", weight_decay)
    clear(&step, sgd_body, w_view.shape[0])
    divide(&step, 0.2)
    step.updates = True
    step.w, step.dw = output_vector_address(w_view), <void *> vector_address(dw_view)
    step.lr = read_only_cell("sgd", "lr", lr)
    step.momentum, step.weight_decay, step.flag = momentum, weight_decay, nesterov
    apart("sgd", "w", step.w, w_view.nbytes, "dw", step.dw, w_view.nbytes)
    apart("sgd", "w", step.w, w_view.nbytes, "lr", step.lr, sizeof(double))
    if velocity is not None:
        velocity_view = output_vector("sgd", "velocity", velocity)
        same_length("sgd", "velocity", velocity_view.shape[0], "w", w_view.shape[0])
        step.v = output_vector_address(velocity_view)
        apart("sgd", "velocity", step.v, w_view.nbytes, "w", step.w, w_view.nbytes)
        apart("sgd", "velocity", step.v, w_view.nbytes, "dw", step.dw, w_view.nbytes)
        apart("sgd", "velocity", step.v, w_view.nbytes, "lr", step.lr, sizeof(double))
    elif momentum != 0:
        raise ValueError(f"sgd: velocity is None, expected an array of {w_view.shape[0]} for momentum {momentum}")
    run_or_record(&step, tape, (w, dw, velocity, lr) if tape is not None else None)


cdef int adam_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef real *w = <real *> s.w
    cdef const real *dw = <const real *> s.dw
    cdef real *m = <real *> s.m
    cdef real *v = <real *> s.v
    cdef double correction1 = 1 - pow(s.beta1, s.step[0]), correction2 = 1 - pow(s.beta2, s.step[0])
    cdef real beta1 = <real> s.beta1, beta2 = <real> s.beta2, eps = <real> s.eps
    cdef real rest1 = <real> (1 - s.beta1), rest2 = <real> (1 - s.beta2)
    cdef real rate = <real> (s.lr[0] / correction1), root = <real> (1 / sqrt(correction2)), g
    cdef real coupled = 0 if s.flag else <real> s.weight_decay
    cdef real keep = <real> (1 - s.lr[0] * s.weight_decay) if s.flag else 1
    cdef Py_ssize_t i
    for i in range(begin, end):
        g = decayed(dw[i], w[i], coupled)
        m[i] = beta1 * m[i] + rest1 * g
        v[i] = beta2 * v[i] + rest2 * g * g
        w[i] = keep * w[i] - rate * m[i] / (square_root(v[i]) * root + eps)
    return 0

cdef extern from *:
    """
    #if FASTNN_DOUBLE
    #define square_root sqrt
    #else
    #define square_root sqrtf
    #endif
    """
    real square_root(real x) noexcept nogil

def adam(
    w, dw, m, v, lr, step, double beta1=0.9, double beta2=0.999, double eps=1e-8, double weight_decay=0.0,
    bint decoupled=True, Tape tape=None,
):
    """Adam (Kingma & Ba 2015), with decoupled weight decay (Loshchilov & Hutter 2019) or the coupled, older form.

    w *= 1 - lr * weight_decay (or, coupled, dw += weight_decay * w); m = beta1 * m + (1 - beta1) * dw;
    v = beta2 * v + (1 - beta2) * dw^2; w -= lr * m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps).
    step[0] is the number of this step, 1 for the first: `increment` counts it.
    """
    cdef real[::1] w_view = output_vector("adam", "w", w)
    cdef const real[::1] dw_view = vector("adam", "dw", dw)
    cdef real[::1] m_view = output_vector("adam", "m", m)
    cdef real[::1] v_view = output_vector("adam", "v", v)
    cdef Step record
    cdef Py_ssize_t n = w_view.shape[0], n_bytes = w_view.nbytes
    same_length("adam", "dw", dw_view.shape[0], "w", n)
    same_length("adam", "m", m_view.shape[0], "w", n)
    same_length("adam", "v", v_view.shape[0], "w", n)
    not_negative("adam", "weight_decay", weight_decay)
    not_negative("adam", "eps", eps)
    if not (0 <= beta1 < 1 and 0 <= beta2 < 1):
        raise ValueError(f"adam: beta1, beta2 are {beta1}, {beta2}, expected numbers in [0, 1)")
    clear(&record, adam_body, n)
    divide(&record, 0.5)
    record.updates = True
    record.w, record.dw = output_vector_address(w_view), <void *> vector_address(dw_view)
    record.m, record.v = output_vector_address(m_view), output_vector_address(v_view)
    record.lr, record.step = read_only_cell("adam", "lr", lr), read_only_cell("adam", "step", step)
    record.beta1, record.beta2, record.eps = beta1, beta2, eps
    record.weight_decay, record.flag = weight_decay, decoupled
    apart("adam", "w", record.w, n_bytes, "dw", record.dw, n_bytes)
    apart("adam", "m", record.m, n_bytes, "w", record.w, n_bytes)
    apart("adam", "m", record.m, n_bytes, "dw", record.dw, n_bytes)
    apart("adam", "v", record.v, n_bytes, "w", record.w, n_bytes)
    apart("adam", "v", record.v, n_bytes, "dw", record.dw, n_bytes)
    apart("adam", "v", record.v, n_bytes, "m", record.m, n_bytes)
    for name, array in (("w", <size_t> record.w), ("m", <size_t> record.m), ("v", <size_t> record.v)):
        apart("adam", name, <void *> <size_t> array, n_bytes, "lr", record.lr, sizeof(double))
        apart("adam", name, <void *> <size_t> array, n_bytes, "step", record.step, sizeof(double))
    run_or_record(&record, tape, (w, dw, m, v, lr, step) if tape is not None else None)


cdef int increment_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    s.count[0] += 1
    return 0

def increment(step, Tape tape=None):
    """step[0] += 1."""
    cdef Step record
    clear(&record, increment_body, 1)
    record.updates = True
    record.count = cell("increment", "step", step)
    run_or_record(&record, tape, (step,) if tape is not None else None)
