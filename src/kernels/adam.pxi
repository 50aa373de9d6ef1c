# Adam and its kin: with m, a mean of gradients, and v or u, a measure of their size. Units: elements.


cdef struct Adam:
    Output w
    Input dw
    Output m, v
    Number lr, step, beta1, beta2, eps, weight_decay
    Py_ssize_t decoupled
    Output largest
    Py_ssize_t eps_hat, n

cdef int adam_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Adam *s = <const Adam *> call.payload
    cdef real[::1] w = vector(s.w, s.n), m = vector(s.m, s.n), v = vector(s.v, s.n)
    cdef real[::1] largest = vector(s.largest, s.n)
    cdef const real[::1] dw = input_vector(s.dw, s.n)
    cdef double correction1 = 1 - pow(s.beta1[0], s.step[0]), correction2 = 1 - pow(s.beta2[0], s.step[0])
    cdef real beta1 = <real> s.beta1[0], beta2 = <real> s.beta2[0], eps = <real> s.eps[0]
    cdef real rest1 = <real> (1 - s.beta1[0]), rest2 = <real> (1 - s.beta2[0])
    cdef real rate = <real> (s.lr[0] / correction1), root = <real> (1 / sqrt(correction2)), g, square
    if s.eps_hat:
        eps = <real> (s.eps[0] / sqrt(correction2))
    cdef real coupled = 0 if s.decoupled else <real> s.weight_decay[0]
    cdef real keep = <real> (1 - s.lr[0] * s.weight_decay[0]) if s.decoupled else 1
    cdef bint amsgrad = s.largest is not NULL
    cdef Py_ssize_t i
    for i in range(begin, end):
        g = decayed(dw[i], w[i], coupled)
        m[i] = beta1 * m[i] + rest1 * g
        v[i] = square = beta2 * v[i] + rest2 * g * g
        if amsgrad:
            largest[i] = square = larger(largest[i], square)
        w[i] = keep * w[i] - rate * m[i] / (square_root(square) * root + eps)
    return 0

kernel("""adam(w: inout (n), dw: in (n), m: inout (n), v: inout (n), lr: cell, step: cell, beta1: cell = 0.9 >= 0 < 1,
    beta2: cell = 0.999 >= 0 < 1, eps: cell = 1e-8 >= 0, weight_decay: cell = 0.0 >= 0, decoupled: flag = True,
    largest: inout (n) | None = None, eps_hat: flag = False) -> n: 0.5, updates

    Adam (Kingma & Ba 2015), with decoupled weight decay (Loshchilov & Hutter 2019) or the coupled, older form; with
    `largest`, AMSGrad (Reddi et al. 2018).

    w *= 1 - lr * weight_decay (or, coupled, dw += weight_decay * w); m = beta1 * m + (1 - beta1) * dw;
    v = beta2 * v + (1 - beta2) * dw^2; w -= lr * m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps).
    AMSGrad: largest = max(largest, v) stands for v in the last. With `eps_hat`, eps is what the paper calls so: it is
    divided by sqrt(1 - beta2^step), too. step[0] is the number of this step, 1 for the first:
    `increment` counts it.
    """, adam_body, sizeof(Adam))


cdef struct NAdam:
    Output w
    Input dw
    Output m, v
    Number lr, step, product, beta1, beta2, eps, weight_decay, momentum_decay
    Py_ssize_t decoupled, n

cdef inline double nadam_momentum(double beta1, double step, double momentum_decay) noexcept nogil:
    return beta1 * (1 - 0.5 * pow(0.96, step * momentum_decay))

cdef int nadam_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const NAdam *s = <const NAdam *> call.payload
    cdef real[::1] w = vector(s.w, s.n), m = vector(s.m, s.n), v = vector(s.v, s.n)
    cdef const real[::1] dw = input_vector(s.dw, s.n)
    cdef double now = nadam_momentum(s.beta1[0], s.step[0], s.momentum_decay[0])
    cdef double next = nadam_momentum(s.beta1[0], s.step[0] + 1, s.momentum_decay[0])
    cdef real of_g = <real> (s.lr[0] * (1 - now) / (1 - s.product[0]))
    cdef real of_m = <real> (s.lr[0] * next / (1 - s.product[0] * next))
    cdef real root = <real> (1 / sqrt(1 - pow(s.beta2[0], s.step[0]))), eps = <real> s.eps[0], g
    cdef real beta1 = <real> s.beta1[0], rest1 = <real> (1 - s.beta1[0])
    cdef real beta2 = <real> s.beta2[0], rest2 = <real> (1 - s.beta2[0])
    cdef real coupled = 0 if s.decoupled else <real> s.weight_decay[0]
    cdef real keep = <real> (1 - s.lr[0] * s.weight_decay[0]) if s.decoupled else 1
    cdef Py_ssize_t i
    for i in range(begin, end):
        g = dw[i] + coupled * w[i]
        m[i] = beta1 * m[i] + rest1 * g
        v[i] = beta2 * v[i] + rest2 * g * g
        w[i] = keep * w[i] - (of_g * g + of_m * m[i]) / (square_root(v[i]) * root + eps)
    return 0

kernel("""nadam(w: inout (n), dw: in (n), m: inout (n), v: inout (n), lr: cell, step: cell, product: cell,
    beta1: cell = 0.9 >= 0 < 1, beta2: cell = 0.999 >= 0 < 1, eps: cell = 1e-8 >= 0, weight_decay: cell = 0.0 >= 0,
    momentum_decay: cell = 4e-3 >= 0, decoupled: flag = False) -> n: 0.5, updates

    NAdam (Dozat 2016), Adam with Nesterov's momentum, in PyTorch's form.

    m and v as Adam's; mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2); with t = step[0], and product[0] that of all
    mu up to mu_t, w -= lr * (g * (1 - mu_t) / (1 - product) + m * mu_(t+1) / (1 - product * mu_(t+1))) /
    (sqrt(v / (1 - beta2^t)) + eps).
    """, nadam_body, sizeof(NAdam))


cdef struct NAdamProduct:
    double *product
    Number step, beta1, momentum_decay

cdef int nadam_product_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const NAdamProduct *s = <const NAdamProduct *> call.payload
    s.product[0] *= nadam_momentum(s.beta1[0], s.step[0], s.momentum_decay[0])
    return 0

kernel("""nadam_product(product: inout float64 (1), step: cell, beta1: cell = 0.9 >= 0 < 1,
    momentum_decay: cell = 4e-3 >= 0), updates

    product[0] *= beta1 * (1 - 0.96^(step * momentum_decay) / 2): the product of the momenta of `nadam`.
    """, nadam_product_body, sizeof(NAdamProduct))


cdef struct RAdam:
    Output w
    Input dw
    Output m, v
    Number lr, step, beta1, beta2, eps, weight_decay
    Py_ssize_t decoupled, n

cdef int radam_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const RAdam *s = <const RAdam *> call.payload
    cdef real[::1] w = vector(s.w, s.n), m = vector(s.m, s.n), v = vector(s.v, s.n)
    cdef const real[::1] dw = input_vector(s.dw, s.n)
    cdef double power = pow(s.beta2[0], s.step[0]), all = 2 / (1 - s.beta2[0]) - 1
    cdef double now = all - 2 * s.step[0] * power / (1 - power), lr = s.lr[0] / (1 - pow(s.beta1[0], s.step[0]))
    cdef bint rectified = now > 5
    if rectified:
        lr *= sqrt((now - 4) * (now - 2) * all / ((all - 4) * (all - 2) * now) * (1 - power))
    cdef real rate = <real> lr, eps = <real> s.eps[0], g
    cdef real beta1 = <real> s.beta1[0], rest1 = <real> (1 - s.beta1[0])
    cdef real beta2 = <real> s.beta2[0], rest2 = <real> (1 - s.beta2[0])
    cdef real coupled = 0 if s.decoupled else <real> s.weight_decay[0]
    cdef real keep = <real> (1 - s.lr[0] * s.weight_decay[0]) if s.decoupled else 1
    cdef Py_ssize_t i
    for i in range(begin, end):
        g = dw[i] + coupled * w[i]
        m[i] = beta1 * m[i] + rest1 * g
        v[i] = beta2 * v[i] + rest2 * g * g
        w[i] = keep * w[i] - (rate * m[i] / (square_root(v[i]) + eps) if rectified else rate * m[i])
    return 0

kernel("""radam(w: inout (n), dw: in (n), m: inout (n), v: inout (n), lr: cell, step: cell, beta1: cell = 0.9 >= 0 < 1,
    beta2: cell = 0.999 >= 0 < 1, eps: cell = 1e-8 >= 0, weight_decay: cell = 0.0 >= 0, decoupled: flag = False)
    -> n: 0.5, updates

    RAdam, rectified Adam (Liu et al. 2020), in PyTorch's form.

    m and v as Adam's, t = step[0]; all = 2 / (1 - beta2) - 1, now = all - 2 * t * beta2^t / (1 - beta2^t). Where that
    is above 5, w -= lr * r * m / (1 - beta1^t) * sqrt(1 - beta2^t) / (sqrt(v) + eps), with
    r^2 = (now - 4) * (now - 2) * all / ((all - 4) * (all - 2) * now); else w -= lr * m / (1 - beta1^t).
    """, radam_body, sizeof(RAdam))


cdef struct Adamax:
    Output w
    Input dw
    Output m, u
    Number lr, step, beta1, beta2, eps, weight_decay
    Py_ssize_t n

cdef int adamax_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Adamax *s = <const Adamax *> call.payload
    cdef real[::1] w = vector(s.w, s.n), m = vector(s.m, s.n), u = vector(s.u, s.n)
    cdef const real[::1] dw = input_vector(s.dw, s.n)
    cdef real rate = <real> (s.lr[0] / (1 - pow(s.beta1[0], s.step[0]))), eps = <real> s.eps[0], g
    cdef real beta1 = <real> s.beta1[0], rest1 = <real> (1 - s.beta1[0]), beta2 = <real> s.beta2[0]
    cdef real weight_decay = <real> s.weight_decay[0]
    cdef Py_ssize_t i
    for i in range(begin, end):
        g = dw[i] + weight_decay * w[i]
        m[i] = beta1 * m[i] + rest1 * g
        u[i] = larger(beta2 * u[i], magnitude(g) + eps)
        w[i] -= rate * m[i] / u[i]
    return 0

kernel("""adamax(w: inout (n), dw: in (n), m: inout (n), u: inout (n), lr: cell, step: cell, beta1: cell = 0.9 >= 0 < 1,
    beta2: cell = 0.999 >= 0 < 1, eps: cell = 1e-8 >= 0, weight_decay: cell = 0.0 >= 0) -> n: 0.4, updates

    Adamax (Kingma & Ba 2015), Adam with the largest gradient in place of the mean of squares, in PyTorch's form.

    g = dw + weight_decay * w; m = beta1 * m + (1 - beta1) * g; u = max(beta2 * u, |g| + eps);
    w -= lr / (1 - beta1^step) * m / u. step[0] is the number of this step, 1 for the first.
    """, adamax_body, sizeof(Adamax))


# Parameters hold y, where gradients are taken: y = beta1 * x + (1 - beta1) * z of the last step, to the bit, unless
# somebody has moved it since then. Then z and x move with it, by the same formula that wrote y.
cdef struct ScheduleFreeAdamW:
    Output w
    Input dw
    Output z, x, v
    Number lr, step, part, before, beta1, beta2, eps, weight_decay
    Py_ssize_t n

cdef inline real between(real z, real x, real part) noexcept nogil:
    return real_fma(part, x - z, z)

cdef int schedule_free_adamw_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const ScheduleFreeAdamW *s = <const ScheduleFreeAdamW *> call.payload
    cdef real[::1] w = vector(s.w, s.n), z = vector(s.z, s.n), x = vector(s.x, s.n), v = vector(s.v, s.n)
    cdef const real[::1] dw = input_vector(s.dw, s.n)
    cdef real root = <real> (1 / sqrt(1 - pow(s.beta2[0], s.step[0])))
    cdef real beta1 = <real> s.beta1[0], beta2 = <real> s.beta2[0], rest2 = <real> (1 - s.beta2[0])
    cdef real before = <real> s.before[0], part = <real> s.part[0], eps = <real> s.eps[0], lr = <real> s.lr[0]
    cdef real weight_decay = <real> s.weight_decay[0], moved, square, at
    cdef Py_ssize_t i
    for i in range(begin, end):
        moved = w[i] - between(z[i], x[i], before)
        v[i] = square = beta2 * v[i] + rest2 * dw[i] * dw[i]
        at = dw[i] / (square_root(square) * root + eps)
        z[i] = z[i] + moved - lr * decayed(at, w[i], weight_decay)
        x[i] = between(x[i] + moved, z[i], part)
        w[i] = between(z[i], x[i], beta1)
    return 0

kernel("""schedule_free_adamw(w: inout (n), dw: in (n), z: inout (n), x: inout (n), v: inout (n), lr: cell, step: cell,
    part: cell, before: cell, beta1: cell = 0.9 >= 0 < 1, beta2: cell = 0.999 >= 0 < 1, eps: cell = 1e-8 >= 0,
    weight_decay: cell = 0.0 >= 0) -> n: 0.6, updates

    AdamW without a schedule (Defazio et al. 2024).

    v = beta2 * v + (1 - beta2) * dw^2; z -= lr * (dw / (sqrt(v / (1 - beta2^step)) + eps) + weight_decay * w);
    x += part * (z - x); w = beta1 * x + (1 - beta1) * z. By how much w has been moved from before * x +
    (1 - before) * z since the last step, z and x are moved first. step[0] is the number of this step, 1 for the first;
    part and before are of `schedule_free_part`.
    """, schedule_free_adamw_body, sizeof(ScheduleFreeAdamW))


cdef struct ScheduleFreePart:
    double *largest
    double *total
    double *part
    double *before
    double *now
    Number lr, beta1

cdef int schedule_free_part_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const ScheduleFreePart *s = <const ScheduleFreePart *> call.payload
    cdef double weight
    s.before[0] = s.now[0]
    s.now[0] = s.beta1[0]
    s.largest[0] = max(s.largest[0], s.lr[0])
    weight = s.largest[0] * s.largest[0]
    s.total[0] += weight
    s.part[0] = weight / s.total[0] if s.total[0] > 0 else 0
    return 0

kernel("""schedule_free_part(largest: inout float64 (1), total: inout float64 (1), part: out float64 (1),
    before: out float64 (1), now: inout float64 (1), lr: cell, beta1: cell), updates

    How much a step counts in the average x of `schedule_free_adamw`: as its largest rate so far, squared.

    largest = max(largest, lr), total += largest^2, part = largest^2 / total, or 0 where the total is 0; before = now,
    now = beta1.
    """, schedule_free_part_body, sizeof(ScheduleFreePart))


# LAMB needs the norms of parameters and of their change, array by array. So its step is in two parts: this one, which
# sums squares over blocks of one length, and behind the norms w -= rate * u.
cdef struct LAMB:
    Input w, dw
    Output m, v, u
    double *squares
    Number step, beta1, beta2, eps, weight_decay
    Py_ssize_t n, blocks

cdef int lamb_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    # units: blocks
    cdef const LAMB *s = <const LAMB *> call.payload
    cdef const real[::1] w = input_vector(s.w, s.n), dw = input_vector(s.dw, s.n)
    cdef real[::1] m = vector(s.m, s.n), v = vector(s.v, s.n), u = vector(s.u, s.n)
    cdef real beta1 = <real> s.beta1[0], rest1 = <real> (1 - s.beta1[0])
    cdef real beta2 = <real> s.beta2[0], rest2 = <real> (1 - s.beta2[0])
    cdef real scale = <real> (1 / (1 - pow(s.beta1[0], s.step[0])))
    cdef real root = <real> (1 / sqrt(1 - pow(s.beta2[0], s.step[0])))
    cdef real eps = <real> s.eps[0], weight_decay = <real> s.weight_decay[0]
    cdef Py_ssize_t block, first, last, i
    for block in range(begin, end):
        first = block * SQUARES
        last = min(first + SQUARES, s.n)
        for i in range(first, last):
            m[i] = beta1 * m[i] + rest1 * dw[i]
            v[i] = beta2 * v[i] + rest2 * dw[i] * dw[i]
            u[i] = decayed(scale * m[i] / (square_root(v[i]) * root + eps), w[i], weight_decay)
        s.squares[block] = sum_squares(s.w + first, last - first)
        s.squares[s.blocks + block] = sum_squares(s.u + first, last - first)
    return 0

cdef Py_ssize_t check_lamb_blocks(str kernel, Call *call) except -1:
    cdef const LAMB *s = <const LAMB *> call.payload
    return check_blocks_of(kernel, "squares", s.n, s.blocks)

kernel("""lamb(w: in (n), dw: in (n), m: inout (n), v: inout (n), u: out (n), squares: out float64 (2, blocks),
    step: cell, beta1: cell = 0.9 >= 0 < 1, beta2: cell = 0.999 >= 0 < 1,
    eps: cell = 1e-6 >= 0, weight_decay: cell = 0.0 >= 0) -> blocks: 3000, updates

    The direction of a step of LAMB (You et al. 2020), and what its length follows from, of one array of parameters.

    m and v as Adam's; u = m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps) + weight_decay * w, and the sums of
    w^2 and of u^2 over elements 4096 i to 4096 (i + 1), in double. The step is w -= rate * u: `trust_rate`, `sgd`.
    """, lamb_body, sizeof(LAMB), check_lamb_blocks)


cdef struct TrustRate:
    const double *squares
    Number lr
    double *rate
    Py_ssize_t blocks

cdef int trust_rate_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const TrustRate *s = <const TrustRate *> call.payload
    cdef double of_w = 0, of_u = 0
    cdef Py_ssize_t i
    for i in range(s.blocks):
        of_w += s.squares[i]
        of_u += s.squares[s.blocks + i]
    s.rate[0] = s.lr[0]
    if of_w > 0 and of_u > 0:
        s.rate[0] *= sqrt(of_w) / sqrt(of_u)
    return 0

kernel("""trust_rate(squares: in float64 (2, blocks), lr: cell, rate: out float64 (1))

    rate = lr * |w| / |u| of arrays whose squares have these sums (You et al. 2020), or lr where one norm is 0.
    """, trust_rate_body, sizeof(TrustRate))
