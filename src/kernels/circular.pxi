# sin and cos.

cdef extern from "math/circular.h":
    void map_angles(const Piece *p, real factor, int quarter, PairFormula f) noexcept nogil
