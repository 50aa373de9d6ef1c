# Activations without exp: their pieces are polynomials. Comparisons are written so that a NaN stays.

cdef inline real relu6_(real x, real alpha) noexcept nogil:
    return 0 if x <= 0 else 6 if x > 6 else x

cdef inline real relu6_gradient(real y, real dy, real alpha) noexcept nogil:
    return dy if y > 0 and y < 6 else 0

cdef void relu6_loop(const Piece *p) noexcept nogil:
    map_piece(p, relu6_, relu6_gradient)

activation("""relu6: y in [0, 6], from y, he_normal
    y = x, clipped to [0, 6].
    dx = dy where 0 < y < 6, else 0.""", relu6_loop)


# From x: beta may be any number.
cdef inline real threshold_(real x, real alpha, real beta) noexcept nogil:
    return beta if x <= alpha else x

cdef inline real threshold_gradient(real x, real dy, real alpha, real beta) noexcept nogil:
    return 0 if x <= alpha else dy

cdef void threshold_loop(const Piece *p) noexcept nogil:
    map_piece_of_two(p, threshold_, threshold_gradient)

activation("""threshold(alpha: cell = 0.0, beta: cell = 0.0): y in [-inf, inf], from x, he_normal
    y = x where x > alpha, else beta.
    dx = dy where x > alpha, else 0.""", threshold_loop)


# Courbariaux, Bengio & David 2015, with a slope of PyTorch's.
cdef inline real hard_sigmoid_(real x, real alpha, real beta) noexcept nogil:
    cdef real y = x * alpha + beta
    return 0 if y < 0 else 1 if y > 1 else y

cdef inline real hard_sigmoid_gradient(real y, real dy, real alpha, real beta) noexcept nogil:
    return dy * alpha if y > 0 and y < 1 else 0

cdef void hard_sigmoid_loop(const Piece *p) noexcept nogil:
    map_piece_of_two(p, hard_sigmoid_, hard_sigmoid_gradient)

activation(
    """hard_sigmoid(alpha: cell = 0.16666666666666666 > 0, beta: cell = 0.5): y in [0, 1], from y, glorot_uniform
    y = alpha * x + beta, clipped to [0, 1].
    dx = alpha * dy where 0 < y < 1, else 0.""",
    hard_sigmoid_loop,
)


# Collobert 2004.
cdef inline real hard_tanh_(real x, real alpha, real beta) noexcept nogil:
    return alpha if x < alpha else beta if x > beta else x

cdef inline real hard_tanh_gradient(real y, real dy, real alpha, real beta) noexcept nogil:
    return dy if y > alpha and y < beta else 0

cdef void hard_tanh_loop(const Piece *p) noexcept nogil:
    map_piece_of_two(p, hard_tanh_, hard_tanh_gradient)

activation("""hard_tanh(alpha: cell = -1.0, beta: cell = 1.0): y in [alpha, beta], from y, glorot_uniform
    y = x, clipped to [alpha, beta].
    dx = dy where alpha < y < beta, else 0.""", hard_tanh_loop)


# Howard et al. 2019.
cdef inline real hard_swish_(real x, real alpha) noexcept nogil:
    cdef real y = x * (x + <real> 3) * <real> (1.0 / 6.0)
    return 0 if x <= -3 else x if x >= 3 else y

cdef inline real hard_swish_gradient(real x, real dy, real alpha) noexcept nogil:
    cdef real slope = x * <real> (1.0 / 3.0) + <real> 0.5
    return 0 if x <= -3 else dy if x >= 3 else dy * slope

cdef void hard_swish_loop(const Piece *p) noexcept nogil:
    map_piece(p, hard_swish_, hard_swish_gradient)

activation("""hard_swish: y in [-0.375, inf], from x, he_normal
    y = x * hard_sigmoid(x): 0 below -3, x above 3, else x * (x + 3) / 6.
    dx = 0 below -3, dy above 3, else dy * (x / 3 + 1/2).""", hard_swish_loop)


# y is 0 where, and only where, |x| <= alpha. So it is for soft_shrink: no difference of two numbers rounds to 0.
cdef inline real hard_shrink_(real x, real alpha) noexcept nogil:
    return 0 if magnitude(x) <= alpha else x

cdef inline real hard_shrink_gradient(real y, real dy, real alpha) noexcept nogil:
    return 0 if y == 0 else dy

cdef void hard_shrink_loop(const Piece *p) noexcept nogil:
    map_piece(p, hard_shrink_, hard_shrink_gradient)

activation("""hard_shrink(alpha: cell = 0.5 >= 0): y in [-inf, inf], from y, glorot_uniform
    y = x where |x| > alpha, else 0.
    dx = dy where y is not 0, else 0.""", hard_shrink_loop)


# Donoho & Johnstone 1994.
cdef inline real soft_shrink_(real x, real alpha) noexcept nogil:
    cdef real size = magnitude(x) - alpha
    return 0 if size <= 0 else size if x > 0 else -size

cdef void soft_shrink_loop(const Piece *p) noexcept nogil:
    map_piece(p, soft_shrink_, hard_shrink_gradient)

activation("""soft_shrink(alpha: cell = 0.5 >= 0): y in [-inf, inf], from y, glorot_uniform
    y = x - alpha where x > alpha, x + alpha where x < -alpha, else 0.
    dx = dy where y is not 0, else 0.""", soft_shrink_loop)


# From y: (x + 1) / 2 is its root.
cdef inline real sparse_plus_(real x, real alpha) noexcept nogil:
    cdef real y = <real> 0.25 * (x + <real> 1) * (x + <real> 1)
    return 0 if x <= -1 else x if x >= 1 else y

cdef inline real sparse_plus_gradient(real y, real dy, real alpha) noexcept nogil:
    cdef real slope = square_root(0 if y <= 0 else y)
    return dy if y >= 1 else dy * slope

cdef void sparse_plus_loop(const Piece *p) noexcept nogil:
    map_piece(p, sparse_plus_, sparse_plus_gradient)

activation("""sparse_plus: y in [0, inf], from y, he_normal
    y = 0 below -1, x above 1, else (x + 1)^2 / 4.
    dx = dy * (x + 1) / 2, at least 0 and at most dy, and (x + 1) / 2 = sqrt(y).""", sparse_plus_loop)
