/* What a body returns where it stops a replay, and 0 where all is well. tape.pyx says what each of them raises. */
#ifndef FASTNN_STATUS_H
#define FASTNN_STATUS_H

enum {
    FASTNN_RAISED = 1,       /* a Python step has raised: the exception waits in the tape */
    FASTNN_NOT_FINITE = 2,   /* the loss is NaN or infinite */
    FASTNN_OUT_OF_RANGE = 3, /* the index or the cursor that chooses rows */
    FASTNN_NO_MEMORY = 4,    /* for the workspace of a product */
};

#endif
