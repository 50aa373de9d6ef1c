"""The compiled core: what runs without the GIL. Use it through fastnn.kernels and the layers above."""
