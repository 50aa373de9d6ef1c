# Activations: of each its formula, the gradient dx = dy f' from y where the derivative follows from it, so that x need
# not be kept, else from x, its loop, and its row in the table (activation.pxi says what a row holds).

cdef struct Gradient:
    Input saved, dy
    Output dx
    Number alpha
    Py_ssize_t rows, n
    Loop loop

cdef int gradient_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Gradient *s = <const Gradient *> call.payload
    cdef Py_ssize_t at = begin * s.n
    cdef Piece piece = Piece(
        s.saved + at, s.dy + at, s.dx + at, Rectangle(end - begin, s.n, s.n), <real> s.alpha[0]
    )
    s.loop(&piece)
    return 0

cdef int activation(str text, Loop loop) except -1:
    """Add a row to the table of activations and declare its two kernels; behind the row, the text says what they do."""
    row, forward, backward = text.splitlines()
    cdef Activation added = add_activation(BUILD, row, <const void *> loop)
    alpha, saved = added.constant or "alpha: absent", added.derivative_from
    elementwise(f"{added.name}_forward", forward.strip(), loop, alpha)
    arguments = f"{saved}: in (rows, n), dy: in (rows, n), dx: out (rows, n) | dy, {alpha}"
    text = f"{added.name}_backward({arguments}) -> rows: 0.3 n\n\n    {backward.strip()}"
    kernel(text, gradient_body, sizeof(Gradient), NULL, <const void *> loop)
    return 0


cdef inline real identity_(real x, real alpha) noexcept nogil:
    return x

cdef inline real identity_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy

cdef void identity_loop(const Piece *p) noexcept nogil:
    map_piece(p, identity_, identity_gradient)

activation("""identity: y in [-inf, inf], from y, glorot_uniform
    y = x.
    dx = dy.""", identity_loop)


# Nair & Hinton 2010.
cdef inline real relu_(real x, real alpha) noexcept nogil:
    return 0 if x <= 0 else x          # so written, a NaN stays

cdef inline real relu_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy if y > 0 else 0

cdef void relu_loop(const Piece *p) noexcept nogil:
    map_piece(p, relu_, relu_gradient)

activation("""relu: y in [0, inf], from y, he_normal
    y = max(x, 0).
    dx = dy where y > 0, else 0.""", relu_loop)


# Maas, Hannun & Ng 2013. The sign of y is that of x only for a slope that is not negative.
cdef inline real leaky_relu_(real x, real alpha) noexcept nogil:
    return x if x > 0 else alpha * x

cdef inline real leaky_relu_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy if y > 0 else alpha * dy

cdef void leaky_relu_loop(const Piece *p) noexcept nogil:
    map_piece(p, leaky_relu_, leaky_relu_gradient)

activation("""leaky_relu(alpha: cell = 0.01 >= 0): y in [-inf, inf], from y, he_normal
    y = x where x > 0, else alpha * x; alpha >= 0.
    dx = dy where y > 0, else alpha * dy.""", leaky_relu_loop)


# Clevert, Unterthiner & Hochreiter 2016.
cdef inline real elu_(real x, real alpha) noexcept nogil:
    cdef real below = alpha * real_expm1(x)
    return x if x > 0 else below

# From y, so that a dense layer need not keep its input. y rounds as a number of the size of alpha, and y + alpha has
# that error however small it is: up to epsilon * alpha (half of it from y, the rest from rounding alpha, product and
# sum). In float32 5 digits of it are right at x = -8, 3 at -12, 1 at -16, and below -17.3 it is 0.
cdef inline real elu_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy if y > 0 else dy * (y + alpha)

cdef void elu_loop(const Piece *p) noexcept nogil:
    map_piece(p, elu_, elu_gradient)

activation("""elu(alpha: cell = 1.0 >= 0): y in [-alpha, inf], from y, he_normal
    y = x where x > 0, else alpha * (exp(x) - 1); alpha >= 0.
    dx = dy where y > 0, else dy * (y + alpha), whose absolute error is at most epsilon * alpha * dy.""", elu_loop)


# Barron 2017. From y: exp(x / alpha) = y / alpha + 1, as exact as that of elu.
cdef inline real celu_(real x, real alpha) noexcept nogil:
    cdef real below = alpha * real_expm1(x / alpha)
    return x if x > 0 else below

cdef inline real celu_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy if y > 0 else dy * (y / alpha + <real> 1)

cdef void celu_loop(const Piece *p) noexcept nogil:
    map_piece(p, celu_, celu_gradient)

activation("""celu(alpha: cell = 1.0 > 0): y in [-alpha, inf], from y, he_normal
    y = x where x > 0, else alpha * (exp(x / alpha) - 1).
    dx = dy where y > 0, else dy * (y / alpha + 1).""", celu_loop)


# Klambauer et al. 2017, "Self-normalizing neural networks", equation 14.
# scale = 1.0507009873554805, and scale * alpha = 1.7580993408473768
cdef inline real selu_(real x, real alpha) noexcept nogil:
    cdef real below = <real> 1.7580993408473768 * real_expm1(x)
    return <real> 1.0507009873554805 * x if x > 0 else below

cdef inline real selu_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy * (<real> 1.0507009873554805 if y > 0 else y + <real> 1.7580993408473768)

cdef void selu_loop(const Piece *p) noexcept nogil:
    map_piece(p, selu_, selu_gradient)

activation(
    """selu: y in [-1.7580993408473768, inf], from y, lecun_normal
    y = scale * elu(x, alpha), with the scale and alpha of self-normalizing networks.
    dx = dy * scale where y > 0, else dy * (y + scale * alpha), with an error up to epsilon * scale * alpha * dy.""",
    selu_loop,
)


# Hendrycks & Gimpel 2016: x times the normal distribution's cumulative function, which erfc gives without cancellation.
cdef inline real normal_cdf(real x) noexcept nogil:
    return <real> 0.5 * real_erfc(<real> -0.7071067811865476 * x)


cdef inline real gelu_(real x, real alpha) noexcept nogil:
    return x * normal_cdf(x)

cdef inline real gelu_gradient(real x, real dy, real alpha) noexcept nogil:
    cdef real density = <real> 0.3989422804014327 * real_exp(<real> -0.5 * x * x)
    return dy * (normal_cdf(x) + x * density)

cdef void gelu_loop(const Piece *p) noexcept nogil:
    map_piece(p, gelu_, gelu_gradient)

activation("""gelu: y in [-0.17, inf], from x, he_normal
    y = x * Phi(x), Phi the cumulative function of the normal distribution.
    dx = dy * (Phi(x) + x * phi(x)), phi the normal density.""", gelu_loop)


# 1 + tanh(u) = 2 sigmoid(2u): no cancellation for negative x. 2 sqrt(2 / pi) = 1.5957691216057308.
cdef inline real gelu_tanh_gate(real x) noexcept nogil:
    return real_sigmoid(<real> 1.5957691216057308 * x * (<real> 1 + <real> 0.044715 * x * x))


cdef inline real gelu_tanh_(real x, real alpha) noexcept nogil:
    return x * gelu_tanh_gate(x)

cdef inline real gelu_tanh_gradient(real x, real dy, real alpha) noexcept nogil:
    cdef real gate = gelu_tanh_gate(x)
    cdef real slope = <real> 1.5957691216057308 * (<real> 1 + <real> (3 * 0.044715) * x * x)
    return dy * gate * (<real> 1 + x * (<real> 1 - gate) * slope)

cdef void gelu_tanh_loop(const Piece *p) noexcept nogil:
    map_piece(p, gelu_tanh_, gelu_tanh_gradient)

activation("""gelu_tanh: y in [-0.1701, inf], from x, he_normal
    y = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))).
    dx = dy * dy/dx of the tanh form of gelu.""", gelu_tanh_loop)


# Elfwing, Uchibe & Doya 2018; also called swish.
cdef inline real silu_(real x, real alpha) noexcept nogil:
    return real_silu(x)

cdef inline real silu_gradient(real x, real dy, real alpha) noexcept nogil:
    return dy * real_silu_derivative(x)

cdef void silu_loop(const Piece *p) noexcept nogil:
    map_piece(p, silu_, silu_gradient)

activation("""silu: y in [-0.2785, inf], from x, he_normal
    y = x * sigmoid(x).
    dx = dy * s * (1 + x * (1 - s)), s = sigmoid(x).""", silu_loop)


# Dugas et al. 2001.
cdef inline real softplus_(real x, real alpha) noexcept nogil:
    return real_softplus(x)

cdef inline real softplus_gradient(real y, real dy, real alpha) noexcept nogil:
    return -dy * real_expm1(-y)

cdef void softplus_loop(const Piece *p) noexcept nogil:
    map_piece(p, softplus_, softplus_gradient)

activation("""softplus: y in [0, inf], from y, he_normal
    y = log(1 + exp(x)).
    dx = dy * sigmoid(x), and sigmoid(x) = 1 - exp(-y).""", softplus_loop)


# Turian, Bergstra & Bengio 2009. From x: 1 - |y| would cancel.
cdef inline real softsign_(real x, real alpha) noexcept nogil:
    return x / (<real> 1 + magnitude(x))

cdef inline real softsign_gradient(real x, real dy, real alpha) noexcept nogil:
    cdef real scale = <real> 1 + magnitude(x)
    return dy / (scale * scale)

cdef void softsign_loop(const Piece *p) noexcept nogil:
    map_piece(p, softsign_, softsign_gradient)

activation("""softsign: y in [-1, 1], from x, glorot_uniform
    y = x / (1 + |x|).
    dx = dy / (1 + |x|)^2.""", softsign_loop)


cdef inline real sigmoid_(real x, real alpha) noexcept nogil:
    return real_sigmoid(x)

cdef inline real sigmoid_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy * y * (<real> 1 - y)

cdef void sigmoid_loop(const Piece *p) noexcept nogil:
    map_piece(p, sigmoid_, sigmoid_gradient)

activation("""sigmoid: y in [0, 1], from y, glorot_uniform
    y = 1 / (1 + exp(-x)).
    dx = dy * y * (1 - y).""", sigmoid_loop)


cdef inline real hard_sigmoid_(real x, real alpha) noexcept nogil:
    cdef real y = x * <real> (1.0 / 6.0) + <real> 0.5
    return 0 if y < 0 else 1 if y > 1 else y

cdef inline real hard_sigmoid_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy * <real> (1.0 / 6.0) if y > 0 and y < 1 else 0

cdef void hard_sigmoid_loop(const Piece *p) noexcept nogil:
    map_piece(p, hard_sigmoid_, hard_sigmoid_gradient)

activation("""hard_sigmoid: y in [0, 1], from y, glorot_uniform
    y = x / 6 + 1/2, clipped to [0, 1].
    dx = dy / 6 where 0 < y < 1, else 0.""", hard_sigmoid_loop)


cdef inline real tanh_(real x, real alpha) noexcept nogil:
    return real_tanh(x)

cdef inline real tanh_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy * (<real> 1 - y * y)

cdef void tanh_loop(const Piece *p) noexcept nogil:
    map_piece(p, tanh_, tanh_gradient)

activation("""tanh: y in [-1, 1], from y, glorot_uniform
    y = tanh(x).
    dx = dy * (1 - y^2).""", tanh_loop)


cdef inline real hard_tanh_(real x, real alpha) noexcept nogil:
    return -1 if x < -1 else 1 if x > 1 else x

cdef inline real hard_tanh_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy if y > -1 and y < 1 else 0

cdef void hard_tanh_loop(const Piece *p) noexcept nogil:
    map_piece(p, hard_tanh_, hard_tanh_gradient)

activation("""hard_tanh: y in [-1, 1], from y, glorot_uniform
    y = x, clipped to [-1, 1].
    dx = dy where -1 < y < 1, else 0.""", hard_tanh_loop)


# Misra 2020.
cdef inline real mish_(real x, real alpha) noexcept nogil:
    return real_mish(x)

cdef inline real mish_gradient(real x, real dy, real alpha) noexcept nogil:
    return dy * real_mish_derivative(x)

cdef void mish_loop(const Piece *p) noexcept nogil:
    map_piece(p, mish_, mish_gradient)

activation("""mish: y in [-0.3089, inf], from x, he_normal
    y = x * tanh(softplus(x)).
    dx = dy * (t + x * (1 - t^2) * sigmoid(x)), t = tanh(softplus(x)).""", mish_loop)
