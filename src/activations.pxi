# Activations, elementwise: x, y, dy, dx (batch, n); y may be x, dx may be dy.
#
# Backward reads y where the derivative follows from it, so that x need not be kept, else x.


cdef int elementwise_backward(
    str kernel, Body body, str saved_name, object saved, object dy, object dx, double alpha, Tape tape
) except -1:
    """The wrapper of all dx = dy * f'; what forward saved (x or y) goes into the step as x."""
    cdef const real[:, ::1] saved_view = matrix(kernel, saved_name, saved)
    cdef const real[:, ::1] dy_view = matrix(kernel, "dy", dy)
    cdef real[:, ::1] dx_view = output_matrix(kernel, "dx", dx)
    cdef Step step
    same_shape(kernel, "dy", dy_view, saved_name, saved_view)
    same_shape(kernel, "dx", dx_view, saved_name, saved_view)
    not_negative(kernel, "alpha", alpha)
    clear(&step, body, saved_view.shape[0])
    divide(&step, 0.3 * saved_view.shape[1])
    step.x = address(saved_view)
    step.dy = <void *> address(dy_view)
    step.dx = output_address(dx_view)
    step.rows, step.n_out, step.stride = saved_view.shape[0], saved_view.shape[1], saved_view.shape[1]
    step.alpha = alpha
    apart(kernel, "dx", step.dx, dx_view.nbytes, saved_name, step.x, saved_view.nbytes)
    apart(kernel, "dx", step.dx, dx_view.nbytes, "dy", step.dy, dy_view.nbytes, or_same=True)
    return run_or_record(&step, tape, (saved, dy, dx) if tape is not None else None)


cdef inline real identity_(real x, real alpha) noexcept nogil:
    return x

cdef int identity_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, s.alpha, identity_)
    return 0

def identity_forward(x, y, Tape tape=None):
    """y = x."""
    elementwise_forward("identity_forward", identity_forward_body, x, y, 0, tape)


cdef inline real identity_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy

cdef int identity_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_pair_rows(s.x, s.dy, s.dx, begin, end, s.n_out, s.stride, s.alpha, identity_gradient)
    return 0

def identity_backward(y, dy, dx, Tape tape=None):
    """dx = dy."""
    elementwise_backward("identity_backward", identity_backward_body, "y", y, dy, dx, 0, tape)


# Nair & Hinton 2010.
cdef inline real relu_(real x, real alpha) noexcept nogil:
    return 0 if x <= 0 else x          # so written, a NaN stays

cdef int relu_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, s.alpha, relu_)
    return 0

def relu_forward(x, y, Tape tape=None):
    """y = max(x, 0)."""
    elementwise_forward("relu_forward", relu_forward_body, x, y, 0, tape)


cdef inline real relu_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy if y > 0 else 0

cdef int relu_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_pair_rows(s.x, s.dy, s.dx, begin, end, s.n_out, s.stride, s.alpha, relu_gradient)
    return 0

def relu_backward(y, dy, dx, Tape tape=None):
    """dx = dy where y > 0, else 0."""
    elementwise_backward("relu_backward", relu_backward_body, "y", y, dy, dx, 0, tape)


# Maas, Hannun & Ng 2013. The sign of y is that of x only for a slope that is not negative.
cdef inline real leaky_relu_(real x, real alpha) noexcept nogil:
    return x if x > 0 else alpha * x

cdef int leaky_relu_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, s.alpha, leaky_relu_)
    return 0

def leaky_relu_forward(x, y, double alpha=0.01, Tape tape=None):
    """y = x where x > 0, else alpha * x; alpha >= 0."""
    elementwise_forward("leaky_relu_forward", leaky_relu_forward_body, x, y, alpha, tape)


cdef inline real leaky_relu_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy if y > 0 else alpha * dy

cdef int leaky_relu_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_pair_rows(s.x, s.dy, s.dx, begin, end, s.n_out, s.stride, s.alpha, leaky_relu_gradient)
    return 0

def leaky_relu_backward(y, dy, dx, double alpha=0.01, Tape tape=None):
    """dx = dy where y > 0, else alpha * dy."""
    elementwise_backward("leaky_relu_backward", leaky_relu_backward_body, "y", y, dy, dx, alpha, tape)


# Clevert, Unterthiner & Hochreiter 2016.
cdef inline real elu_(real x, real alpha) noexcept nogil:
    cdef real below = alpha * real_expm1(x)
    return x if x > 0 else below

cdef int elu_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, s.alpha, elu_)
    return 0

def elu_forward(x, y, double alpha=1.0, Tape tape=None):
    """y = x where x > 0, else alpha * (exp(x) - 1); alpha >= 0."""
    elementwise_forward("elu_forward", elu_forward_body, x, y, alpha, tape)


# From y, so that a dense layer need not keep its input. y rounds as a number of the size of alpha, and y + alpha has
# that error however small it is: up to epsilon * alpha (half of it from y, the rest from rounding alpha, product and
# sum). In float32 5 digits of it are right at x = -8, 3 at -12, 1 at -16, and below -17.3 it is 0.
cdef inline real elu_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy if y > 0 else dy * (y + alpha)

cdef int elu_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_pair_rows(s.x, s.dy, s.dx, begin, end, s.n_out, s.stride, s.alpha, elu_gradient)
    return 0

def elu_backward(y, dy, dx, double alpha=1.0, Tape tape=None):
    """dx = dy where y > 0, else dy * (y + alpha), whose absolute error is at most epsilon * alpha * dy."""
    elementwise_backward("elu_backward", elu_backward_body, "y", y, dy, dx, alpha, tape)


# Klambauer et al. 2017, "Self-normalizing neural networks", equation 14.
cdef double SELU_SCALE = 1.0507009873554805
cdef double SELU_ALPHA = 1.6732632423543772


cdef inline real selu_(real x, real alpha) noexcept nogil:
    cdef real below = <real> (SELU_SCALE * SELU_ALPHA) * real_expm1(x)
    return <real> SELU_SCALE * x if x > 0 else below

cdef int selu_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, s.alpha, selu_)
    return 0

def selu_forward(x, y, Tape tape=None):
    """y = scale * elu(x, alpha), with the scale and alpha of self-normalizing networks."""
    elementwise_forward("selu_forward", selu_forward_body, x, y, 0, tape)


cdef inline real selu_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy * (<real> SELU_SCALE if y > 0 else y + <real> (SELU_SCALE * SELU_ALPHA))

cdef int selu_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_pair_rows(s.x, s.dy, s.dx, begin, end, s.n_out, s.stride, s.alpha, selu_gradient)
    return 0

def selu_backward(y, dy, dx, Tape tape=None):
    """dx = dy * scale where y > 0, else dy * (y + scale * alpha), with an error up to epsilon * scale * alpha * dy."""
    elementwise_backward("selu_backward", selu_backward_body, "y", y, dy, dx, 0, tape)


# Hendrycks & Gimpel 2016: x times the normal distribution's cumulative function, which erfc gives without cancellation.
cdef inline real normal_cdf(real x) noexcept nogil:
    return <real> 0.5 * real_erfc(<real> -0.7071067811865476 * x)


cdef inline real gelu_(real x, real alpha) noexcept nogil:
    return x * normal_cdf(x)

cdef int gelu_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, s.alpha, gelu_)
    return 0

def gelu_forward(x, y, Tape tape=None):
    """y = x * Phi(x), Phi the cumulative function of the normal distribution."""
    elementwise_forward("gelu_forward", gelu_forward_body, x, y, 0, tape)


cdef inline real gelu_gradient(real x, real dy, real alpha) noexcept nogil:
    cdef real density = <real> 0.3989422804014327 * real_exp(<real> -0.5 * x * x)
    return dy * (normal_cdf(x) + x * density)

cdef int gelu_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_pair_rows(s.x, s.dy, s.dx, begin, end, s.n_out, s.stride, s.alpha, gelu_gradient)
    return 0

def gelu_backward(x, dy, dx, Tape tape=None):
    """dx = dy * (Phi(x) + x * phi(x)), phi the normal density."""
    elementwise_backward("gelu_backward", gelu_backward_body, "x", x, dy, dx, 0, tape)


# 1 + tanh(u) = 2 sigmoid(2u): no cancellation for negative x. 2 sqrt(2 / pi) = 1.5957691216057308.
cdef inline real gelu_tanh_gate(real x) noexcept nogil:
    return real_sigmoid(<real> 1.5957691216057308 * x * (1 + <real> 0.044715 * x * x))


cdef inline real gelu_tanh_(real x, real alpha) noexcept nogil:
    return x * gelu_tanh_gate(x)

cdef int gelu_tanh_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, s.alpha, gelu_tanh_)
    return 0

def gelu_tanh_forward(x, y, Tape tape=None):
    """y = x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))."""
    elementwise_forward("gelu_tanh_forward", gelu_tanh_forward_body, x, y, 0, tape)


cdef inline real gelu_tanh_gradient(real x, real dy, real alpha) noexcept nogil:
    cdef real gate = gelu_tanh_gate(x)
    cdef real slope = <real> 1.5957691216057308 * (1 + <real> (3 * 0.044715) * x * x)
    return dy * gate * (1 + x * (1 - gate) * slope)

cdef int gelu_tanh_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_pair_rows(s.x, s.dy, s.dx, begin, end, s.n_out, s.stride, s.alpha, gelu_tanh_gradient)
    return 0

def gelu_tanh_backward(x, dy, dx, Tape tape=None):
    """dx = dy * dy/dx of the tanh form of gelu."""
    elementwise_backward("gelu_tanh_backward", gelu_tanh_backward_body, "x", x, dy, dx, 0, tape)


# Elfwing, Uchibe & Doya 2018; also called swish.
cdef inline real silu_(real x, real alpha) noexcept nogil:
    return real_silu(x)

cdef int silu_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, s.alpha, silu_)
    return 0

def silu_forward(x, y, Tape tape=None):
    """y = x * sigmoid(x)."""
    elementwise_forward("silu_forward", silu_forward_body, x, y, 0, tape)


cdef inline real silu_gradient(real x, real dy, real alpha) noexcept nogil:
    return dy * real_silu_derivative(x)

cdef int silu_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_pair_rows(s.x, s.dy, s.dx, begin, end, s.n_out, s.stride, s.alpha, silu_gradient)
    return 0

def silu_backward(x, dy, dx, Tape tape=None):
    """dx = dy * s * (1 + x * (1 - s)), s = sigmoid(x)."""
    elementwise_backward("silu_backward", silu_backward_body, "x", x, dy, dx, 0, tape)


# Dugas et al. 2001.
cdef inline real softplus_(real x, real alpha) noexcept nogil:
    return real_softplus(x)

cdef int softplus_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, s.alpha, softplus_)
    return 0

def softplus_forward(x, y, Tape tape=None):
    """y = log(1 + exp(x))."""
    elementwise_forward("softplus_forward", softplus_forward_body, x, y, 0, tape)


cdef inline real softplus_gradient(real y, real dy, real alpha) noexcept nogil:
    return -dy * real_expm1(-y)

cdef int softplus_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_pair_rows(s.x, s.dy, s.dx, begin, end, s.n_out, s.stride, s.alpha, softplus_gradient)
    return 0

def softplus_backward(y, dy, dx, Tape tape=None):
    """dx = dy * sigmoid(x), and sigmoid(x) = 1 - exp(-y)."""
    elementwise_backward("softplus_backward", softplus_backward_body, "y", y, dy, dx, 0, tape)


# Turian, Bergstra & Bengio 2009. From x: 1 - |y| would cancel.
cdef inline real softsign_(real x, real alpha) noexcept nogil:
    return x / (1 + magnitude(x))

cdef int softsign_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, s.alpha, softsign_)
    return 0

def softsign_forward(x, y, Tape tape=None):
    """y = x / (1 + |x|)."""
    elementwise_forward("softsign_forward", softsign_forward_body, x, y, 0, tape)


cdef inline real softsign_gradient(real x, real dy, real alpha) noexcept nogil:
    cdef real scale = 1 + magnitude(x)
    return dy / (scale * scale)

cdef int softsign_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_pair_rows(s.x, s.dy, s.dx, begin, end, s.n_out, s.stride, s.alpha, softsign_gradient)
    return 0

def softsign_backward(x, dy, dx, Tape tape=None):
    """dx = dy / (1 + |x|)^2."""
    elementwise_backward("softsign_backward", softsign_backward_body, "x", x, dy, dx, 0, tape)


cdef inline real sigmoid_(real x, real alpha) noexcept nogil:
    return real_sigmoid(x)

cdef int sigmoid_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, s.alpha, sigmoid_)
    return 0

def sigmoid_forward(x, y, Tape tape=None):
    """y = 1 / (1 + exp(-x))."""
    elementwise_forward("sigmoid_forward", sigmoid_forward_body, x, y, 0, tape)


cdef inline real sigmoid_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy * y * (1 - y)

cdef int sigmoid_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_pair_rows(s.x, s.dy, s.dx, begin, end, s.n_out, s.stride, s.alpha, sigmoid_gradient)
    return 0

def sigmoid_backward(y, dy, dx, Tape tape=None):
    """dx = dy * y * (1 - y)."""
    elementwise_backward("sigmoid_backward", sigmoid_backward_body, "y", y, dy, dx, 0, tape)


cdef inline real hard_sigmoid_(real x, real alpha) noexcept nogil:
    cdef real y = x * <real> (1.0 / 6.0) + <real> 0.5
    return 0 if y < 0 else 1 if y > 1 else y

cdef int hard_sigmoid_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, s.alpha, hard_sigmoid_)
    return 0

def hard_sigmoid_forward(x, y, Tape tape=None):
    """y = x / 6 + 1/2, clipped to [0, 1]."""
    elementwise_forward("hard_sigmoid_forward", hard_sigmoid_forward_body, x, y, 0, tape)


cdef inline real hard_sigmoid_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy * <real> (1.0 / 6.0) if y > 0 and y < 1 else 0

cdef int hard_sigmoid_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_pair_rows(s.x, s.dy, s.dx, begin, end, s.n_out, s.stride, s.alpha, hard_sigmoid_gradient)
    return 0

def hard_sigmoid_backward(y, dy, dx, Tape tape=None):
    """dx = dy / 6 where 0 < y < 1, else 0."""
    elementwise_backward("hard_sigmoid_backward", hard_sigmoid_backward_body, "y", y, dy, dx, 0, tape)


cdef inline real tanh_(real x, real alpha) noexcept nogil:
    return real_tanh(x)

cdef int tanh_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, s.alpha, tanh_)
    return 0

def tanh_forward(x, y, Tape tape=None):
    """y = tanh(x)."""
    elementwise_forward("tanh_forward", tanh_forward_body, x, y, 0, tape)


cdef inline real tanh_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy * (1 - y * y)

cdef int tanh_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_pair_rows(s.x, s.dy, s.dx, begin, end, s.n_out, s.stride, s.alpha, tanh_gradient)
    return 0

def tanh_backward(y, dy, dx, Tape tape=None):
    """dx = dy * (1 - y^2)."""
    elementwise_backward("tanh_backward", tanh_backward_body, "y", y, dy, dx, 0, tape)


cdef inline real hard_tanh_(real x, real alpha) noexcept nogil:
    return -1 if x < -1 else 1 if x > 1 else x

cdef int hard_tanh_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, s.alpha, hard_tanh_)
    return 0

def hard_tanh_forward(x, y, Tape tape=None):
    """y = x, clipped to [-1, 1]."""
    elementwise_forward("hard_tanh_forward", hard_tanh_forward_body, x, y, 0, tape)


cdef inline real hard_tanh_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy if y > -1 and y < 1 else 0

cdef int hard_tanh_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_pair_rows(s.x, s.dy, s.dx, begin, end, s.n_out, s.stride, s.alpha, hard_tanh_gradient)
    return 0

def hard_tanh_backward(y, dy, dx, Tape tape=None):
    """dx = dy where -1 < y < 1, else 0."""
    elementwise_backward("hard_tanh_backward", hard_tanh_backward_body, "y", y, dy, dx, 0, tape)


# Misra 2020.
cdef inline real mish_(real x, real alpha) noexcept nogil:
    return real_mish(x)

cdef int mish_forward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_rows(s.x, s.y, begin, end, s.n_out, s.stride, s.alpha, mish_)
    return 0

def mish_forward(x, y, Tape tape=None):
    """y = x * tanh(softplus(x))."""
    elementwise_forward("mish_forward", mish_forward_body, x, y, 0, tape)


cdef inline real mish_gradient(real x, real dy, real alpha) noexcept nogil:
    return dy * real_mish_derivative(x)

cdef int mish_backward_body(const Step *s, Py_ssize_t begin, Py_ssize_t end) noexcept nogil:
    map_pair_rows(s.x, s.dy, s.dx, begin, end, s.n_out, s.stride, s.alpha, mish_gradient)
    return 0

def mish_backward(x, dy, dx, Tape tape=None):
    """dx = dy * (t + x * (1 - t^2) * sigmoid(x)), t = tanh(softplus(x))."""
    elementwise_backward("mish_backward", mish_backward_body, "x", x, dy, dx, 0, tape)
