# Activations: of each its formula, the gradient dx = dy f' from y where the derivative follows from it, so that x need
# not be kept, else from x, its loop, and its row in the table (activation.pxi says what a row holds).

cdef struct Gradient:
    Input saved, dy
    Output dx
    Number alpha, beta
    Py_ssize_t rows, n
    Loop loop

cdef int gradient_body(const Call *call, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    cdef const Gradient *s = <const Gradient *> call.payload
    cdef Py_ssize_t at = begin * s.n
    cdef Piece piece = Piece(
        s.saved + at, s.dy + at, s.dx + at, Rectangle(end - begin, s.n, s.n), <real> s.alpha[0], <real> s.beta[0]
    )
    s.loop(&piece)
    return 0

cdef int activation(str text, Loop loop) except -1:
    """Add a row to the table of activations and declare its two kernels; below the row, the text says what they do."""
    forward, backward = activation_texts(BUILD, text, <const void *> loop)
    kernel(forward, elementwise_body, sizeof(Elementwise), NULL, <const void *> loop)
    kernel(backward, gradient_body, sizeof(Gradient), NULL, <const void *> loop)
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


# Dugas et al. 2001. 1 / alpha is computed before the loop, and where alpha is 1 the products change no bit.
cdef inline real softplus_(real x, real alpha) noexcept nogil:
    return real_softplus(alpha * x) * (<real> 1 / alpha)

cdef inline real softplus_gradient(real y, real dy, real alpha) noexcept nogil:
    return -dy * real_expm1(-alpha * y)

cdef void softplus_loop(const Piece *p) noexcept nogil:
    map_piece(p, softplus_, softplus_gradient)

activation("""softplus(alpha: cell = 1.0 > 0): y in [0, inf], from y, he_normal
    y = log(1 + exp(alpha * x)) / alpha.
    dx = dy * sigmoid(alpha * x), and that is 1 - exp(-alpha * y).""", softplus_loop)


# With a threshold, as PyTorch has it. From x: near the threshold y does not tell on which side of it x is.
cdef inline real softplus_threshold_(real x, real alpha, real beta) noexcept nogil:
    cdef real y = real_softplus(alpha * x) * (<real> 1 / alpha)
    return x if alpha * x > beta else y

cdef inline real softplus_threshold_gradient(real x, real dy, real alpha, real beta) noexcept nogil:
    cdef real slope = real_sigmoid(alpha * x)
    return dy if alpha * x > beta else dy * slope

cdef void softplus_threshold_loop(const Piece *p) noexcept nogil:
    map_piece_of_two(p, softplus_threshold_, softplus_threshold_gradient)

activation("""softplus_threshold(alpha: cell = 1.0 > 0, beta: cell = 20.0): y in [-inf, inf], from x, he_normal
    y = log(1 + exp(alpha * x)) / alpha, and x where alpha * x > beta.
    dx = dy * sigmoid(alpha * x), and dy where alpha * x > beta.""", softplus_threshold_loop)


# From y, so that nothing cancels: 1 - exp(y) where y is near 0, sigmoid(-x), is as exact as y.
cdef inline real log_sigmoid_(real x, real alpha) noexcept nogil:
    return -real_softplus(-x)

cdef inline real log_sigmoid_gradient(real y, real dy, real alpha) noexcept nogil:
    return -dy * real_expm1(y)

cdef void log_sigmoid_loop(const Piece *p) noexcept nogil:
    map_piece(p, log_sigmoid_, log_sigmoid_gradient)

activation("""log_sigmoid: y in [-inf, 0], from y, glorot_uniform
    y = log(1 / (1 + exp(-x))) = -log(1 + exp(-x)).
    dx = dy * sigmoid(-x), and sigmoid(-x) = 1 - exp(y).""", log_sigmoid_loop)


# Barron 2021, "Squareplus". For x < 0, (x + root) / 2 = alpha / 4 / ((|x| + root) / 2), where nothing cancels.
cdef inline real squareplus_(real x, real alpha) noexcept nogil:
    cdef real size = magnitude(x), root = square_root(size * size + alpha), large
    root = root if root <= <real> 1e18 else size       # where the square may be infinite
    large = <real> 0.5 * size + <real> 0.5 * root      # no sum that overflows
    return large if x > 0 else <real> 0.25 * alpha / large

# root = y + alpha / 4 / y, so that dy/dx = y / root.
cdef inline real squareplus_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy / (<real> 1 + <real> 0.25 * alpha / (y * y))

cdef void squareplus_loop(const Piece *p) noexcept nogil:
    map_piece(p, squareplus_, squareplus_gradient)

activation("""squareplus(alpha: cell = 4.0 > 0): y in [0, inf], from y, he_normal
    y = (x + sqrt(x^2 + alpha)) / 2.
    dx = dy * y^2 / (y^2 + alpha / 4).""", squareplus_loop)


cdef inline real exponential_(real x, real alpha) noexcept nogil:
    return real_exp(x)

cdef inline real exponential_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy * y

cdef void exponential_loop(const Piece *p) noexcept nogil:
    map_piece(p, exponential_, exponential_gradient)

activation("""exponential: y in [0, inf], from y, glorot_uniform
    y = exp(x).
    dx = dy * y.""", exponential_loop)


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


cdef inline real tanh_(real x, real alpha) noexcept nogil:
    return real_tanh(x)

cdef inline real tanh_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy * (<real> 1 - y * y)

cdef void tanh_loop(const Piece *p) noexcept nogil:
    map_piece(p, tanh_, tanh_gradient)

activation("""tanh: y in [-1, 1], from y, glorot_uniform
    y = tanh(x).
    dx = dy * (1 - y^2).""", tanh_loop)


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


cdef inline real quick_gelu_(real x, real alpha) noexcept nogil:
    return real_quick_gelu(x)

cdef inline real quick_gelu_gradient(real x, real dy, real alpha) noexcept nogil:
    return dy * real_silu_derivative(<real> 1.702 * x)

cdef void quick_gelu_loop(const Piece *p) noexcept nogil:
    map_piece(p, quick_gelu_, quick_gelu_gradient)

activation("""quick_gelu: y in [-0.1637, inf], from x, he_normal
    y = x * sigmoid(1.702 x).
    dx = dy * dy/dx of silu at 1.702 x.""", quick_gelu_loop)


cdef inline real tanh_shrink_(real x, real alpha) noexcept nogil:
    return real_tanh_shrink(x)

cdef inline real tanh_shrink_gradient(real x, real dy, real alpha) noexcept nogil:
    cdef real t = real_tanh(x)
    return dy * t * t

cdef void tanh_shrink_loop(const Piece *p) noexcept nogil:
    map_piece(p, tanh_shrink_, tanh_shrink_gradient)

activation("""tanh_shrink: y in [-inf, inf], from x, glorot_uniform
    y = x - tanh(x).
    dx = dy * tanh(x)^2.""", tanh_shrink_loop)


# Roy et al. 2019. Far out x (1 - t^2) is 0, also where x is infinite.
cdef inline real lisht_(real x, real alpha) noexcept nogil:
    return x * real_tanh(x)

cdef inline real lisht_gradient(real x, real dy, real alpha) noexcept nogil:
    cdef real t = real_tanh(x), rest = x * (<real> 1 - t * t)
    return dy * (t + (rest if magnitude(x) <= 1000 else 0))

cdef void lisht_loop(const Piece *p) noexcept nogil:
    map_piece(p, lisht_, lisht_gradient)

activation("""lisht: y in [0, inf], from x, glorot_uniform
    y = x * tanh(x).
    dx = dy * (t + x * (1 - t^2)), t = tanh(x).""", lisht_loop)


# Sitzmann et al. 2020. s is the sine, or, for the gradient, the cosine of alpha x.
cdef inline real sine_(real x, real s, real alpha) noexcept nogil:
    return s

cdef inline real sine_gradient(real s, real dy, real alpha) noexcept nogil:
    return dy * (alpha * s)

cdef void sine_loop(const Piece *p) noexcept nogil:
    if p.dy is NULL:
        map_angles(p, p.alpha, 0, sine_)
    else:
        map_angles(p, p.alpha, 1, sine_gradient)

activation("""sine(alpha: cell = 1.0 > 0): y in [-1, 1], from x, glorot_uniform
    y = sin(alpha * x).
    dx = dy * alpha * cos(alpha * x).""", sine_loop)


# Ziyin, Hartwig & Ueda 2020. s is the sine of alpha x, or, for the gradient, of 2 alpha x.
cdef inline real snake_(real x, real s, real alpha) noexcept nogil:
    return x + s * s / alpha

cdef inline real snake_gradient(real s, real dy, real alpha) noexcept nogil:
    return dy * (<real> 1 + s)

cdef void snake_loop(const Piece *p) noexcept nogil:
    if p.dy is NULL:
        map_angles(p, p.alpha, 0, snake_)
    else:
        map_angles(p, 2 * p.alpha, 0, snake_gradient)

activation("""snake(alpha: cell = 1.0 > 0): y in [-inf, inf], from x, glorot_uniform
    y = x + sin(alpha * x)^2 / alpha.
    dx = dy * (1 + sin(2 * alpha * x)).""", snake_loop)
