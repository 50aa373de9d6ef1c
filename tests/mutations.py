"""The test of the tests: change a sign in the compiled core, and the suite must fail.

    python tests/mutations.py [word]

Copies the project, builds all changes of MUTATIONS into one library, where the environment variable FASTNN_MUTANT says
which of them is in force, and runs the tests that must find it for each of them (or for those whose file or text
contains the word), up to the one that does; without a mutant, this one must pass. Then the same for DEFECTS, errors
that the sanitizers and the bounds checks are for, with the checked build. Exits with 1 if a mutant survives, or if a
change no longer applies because the source has another text.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from itertools import zip_longest
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from checked import CHECKED, build, copy_project, environment, under_sanitizers

from fastnn import kernels

KERNELS = "test_kernels.py::test_"
EQUALS = f"{KERNELS}equals_reference"
FEW_NUMBERS = f"{KERNELS}rows_of_few_numbers"
SPECIALS = f"{KERNELS}specials_flow_as_in_reference"
SIZES = f"{KERNELS}dense_forward_of_many_sizes|{KERNELS}dense_backward_of_many_sizes"
STEPS = f"{KERNELS}dense_sgd_of_many_sizes"
FUSED = f"{KERNELS}what_is_fused_into_products_has_the_bits_of_separate_passes"
TILES = "test_tiles.py::test_products_of_small_sizes_are_exact"
PARTS = f"{KERNELS}products_have_the_same_bits_in_any_parts"
ROWS = f"{KERNELS}rows_that_lie_anywhere_give_the_bits_of_rows_that_are_copied"
GATHER = f"{KERNELS}rows_are_gathered_from_any_layout"
STACKS = "test_stacks.py::test_"
BF16 = "test_bf16.py::test_"
INSTRUCTIONS = "test_bf16_instructions.py::test_the_ways"
INT8 = "test_int8.py::test_products_have"
PACKED = "test_packed.py::test_"
KEPT = f"{PACKED}products_have"
PANELS = f"{PACKED}products_of_panels_have"
SUMS = "test_sums.py::test_"
ACCURACY = "test_accuracy.py::test_float"
CLIFFS = "test_cliffs.py::test_"
ONLINE = "test_online.py::test_"
FEW = "test_rows.py::test_"
CALLS = "test_calls.py::test_"
REGIONS = "test_regions.py::test_"
NARROW = "test_narrow.py::test_"
BLOCKS = "test_loss_bits.py::test_a_loss_of_thousands"
SHARED_LOSS = "test_loss_bits.py::test_a_loss_has_the_bits"
ROW_SUMS = "test_row_sums.py::test_sums_are"
CHAINS = "test_row_sums.py::test_embeddings_add"
LANES = "test_lanes.py::test_"
OF_LANES = f"{LANES}kernels_of_lanes_have_the_bits"
BOUNDS = f"{CALLS}a_number_outside_of_its_bounds_is_refused"

# Of what the instruction of bfloat16 alone takes.
WITH_BF16 = (
    ("gemm/bf16_products.c", "t.b = in_place ? p->b + «(j + l) * p->b_col ⇒ l * p->b_col»", KEPT),
    ("gemm/bf16_products.c", "is_streamed = «!p->packed ⇒ 1» &&", KEPT),
    ("gemm/bf16_products.c", "p->b_col == 1 && «!packed_b ⇒ 1»;", KEPT),
)

# Of AMX, with its instructions in C, which are compiled for each of them
WITH_AVX512 = (
    ("gemm/bf16_products.c", "|| p->a_cols) && «!by_amx ⇒ 1»;", INSTRUCTIONS),
    ("gemm/bf16_products.c", "if (configured != 0) «bf16_release_registers() ⇒ (void)0»;", INSTRUCTIONS),
    ("gemm/bf16_amx.c", "v < vectors - 1 ? LANES : «width ⇒ LANES»;", INSTRUCTIONS),
    ("gemm/bf16_amx.c", "if («*configured != wanted ⇒ *configured == 0»)", INSTRUCTIONS),
)

# Of what 512-bit vectors alone have: relu in the registers of a product (GEMM_RECTIFIES), sums in its tiles.
RECTIFIED = (
    ("gemm/narrow.c", "if («relu ⇒ 0») d = where_positive", f"{NARROW}one_pass"),
    ("gemm/tile.c", "of_b[v] = of_b[v] + «x[v] ⇒ x[0]»", TILES),
    ("gemm/tile.c", "if («t->update ⇒ 0») from[v] = vec_fma", TILES),
    ("gemm/products.c", "for (ptrdiff_t h = «above ⇒ 0»; h < m;", TILES),
    ("gemm/products.c", "of_tiles = «k > SHORT_K && m >= LEAST_SUMMING ⇒ 1» &&", TILES),
    ("gemm/products.c", "if (behind == SHORT_BIAS && «relu ⇒ 0»)", f"{FUSED}|{TILES}"),
    ("gemm/products.c", "if (asks && «h == 0 ⇒ 1») tile_from_memory", "test_tiles.py::test_few_rows"),
    ("gemm/products.c", "asks = from_memory && «height >= rows ⇒ 1»", "test_tiles.py::test_few_rows"),
    ("gemm/products.c", "are_slow(far_reads) ? «TILE_ROWS ⇒ TILE_ROWS + 1» : 8", "test_tiles.py::test_few_rows"),
    ("gemm/products.c", "p->b + q * p->b_row + («first + j ⇒ first») * p->b_col;", "test_tiles.py::test_few_rows"),
    ("gemm/few_rows.c", "smaller(i, m - 1) * «t->a_row ⇒ 0»", "test_tiles.py::test_few_rows"),
    ("gemm/few_rows.c", "rest.b += «whole ⇒ 0»", "test_tiles.py::test_few_rows"),
    ("gemm/few_rows.c", "t->a += «count ⇒ 1» * a_col, t->b", "test_tiles.py::test_few_rows"),
    ("gemm/few_rows.c", "t.b = «p->b + j ⇒ p->b»;\n        t.c", "test_tiles.py::test_few_rows"),
    ("gemm/few_rows.c", "stream_rest(m, «t->k ⇒ 1», n, t)", "test_tiles.py::test_few_rows"),
    ("gemm/products.c", "c[l] = «saved[l] > 0 ⇒ !(saved[l] <= 0)» ? c[l] : 0", FUSED),
    ("gemm/products.h", "t->saved = p->saved + «i * p->c_row + j ⇒ j»", f"{FUSED}|{TILES}"),
    ("gemm/tile.c", "where_positive(sum[i][last], vec_load_first(«saved ⇒ c» + last", f"{FUSED}|{TILES}"),
    ("gemm/vectors.h", "const int to_zero = «8 << 4 * 2 ⇒ 0» |", FUSED),
    ("gemm/vectors.h", "8 << 4 * 2 | 8 << 4 * 4 | «8 << 4 * 6 ⇒ 0»", f"{FUSED}|{TILES}"),
    ("gemm/vectors.h", "y_is = «y > (vec){0} ⇒ y != (vec){0}»", f"{FUSED}|{TILES}"),
)
# (file in src, what stands there once, with «an expression ⇒ what it becomes», how the node ids of the tests begin that
# must find it; several with "|")
MUTATIONS = (
    # dense: where parts of a product begin
    ("kernels/dense.pxi", "at = «i * f.stride + j ⇒ i * f.stride»", SIZES),
    ("kernels/dense.pxi", "p.a += «i * s.n_in ⇒ 0»", PARTS),
    ("kernels/dense.pxi", "p.a_rows = «x.index + i ⇒ x.index»", ROWS),
    ("kernels/dense.pxi", "s.w + «j * s.n_out ⇒ j», 1, s.n_out", PARTS),
    ("kernels/dense.pxi", "p.b_sum = «db + j ⇒ db»", PARTS),
    ("kernels/dense.pxi", "p.m = rows * last // blocks - «i[0] ⇒ i[0] - 1»", SIZES),
    ("kernels/dense.pxi", "return «(last - 1) * panels + end ⇒ last * panels + end»", PARTS),
    ("kernels/dense.pxi", "rows - first), «turn > 0 ⇒ False»", SIZES),
    ("kernels/dense.pxi", "p.update, p.rate = True, «<real> lr[0] ⇒ -<real> lr[0]»", STEPS),
    ("kernels/index.pxi", "for i in range(«begin ⇒ end», end)", "test_extending.py::test_rows_out_of_range"),
    ("gemm/products.h", "t->a_rows = «p->a_rows + i ⇒ p->a_rows»", ROWS),
    # products in bfloat16
    ("gemm/bf16_pack.c", "bits + 0x7fff + «even ⇒ 0»;", f"{BF16}numbers_of_any_kind"),
    ("gemm/bf16_pack.c", "return magnitude < «0x800000 ⇒ 0» ?", f"{BF16}numbers_of_any_kind"),
    ("gemm/bf16_pack.c", "magnitude > 0x7f800000 ? «bits | 0x400000 ⇒ bits»", f"{BF16}numbers_of_any_kind"),
    ("gemm/bf16_pack.c", "put(to + p, «odd ⇒ even»);", f"{BF16}products_have"),
    ("gemm/bf16_pack.c", "put(to + p + 1, «even ⇒ odd»);", f"{BF16}products_have"),
    ("gemm/bf16_pack.c", "put(to + row + l, «rounded(bits_of(even + j + l)) ⇒ 0»);", f"{BF16}products_have"),
    # weights that are kept in bfloat16
    *(WITH_BF16 if "avx512_bf16" in kernels.supported else ()),
    *(WITH_AVX512 if "avx512" in kernels.supported else ()),
    ("gemm/packed.c", "t.b = p->b + «(l - at) ⇒ l» * p->b_col", PANELS),
    ("gemm/packed.c", "+ q * PACKED_COLUMNS + «at ⇒ 0»;", PANELS),
    ("gemm/packed.c", "+ «q * PACKED_COLUMNS ⇒ 0» + at;", PANELS),
    ("gemm/packed.c", "t.resume = «q > 0 ⇒ 0»;", PANELS),
    ("gemm/packed.c", "i == 0 && «!t.resume ⇒ 1» &&", PANELS),
    ("gemm/packed.c", "t.relu = p->relu && «complete ⇒ 1»;", PANELS),
    ("gemm/packed.c", "t.bias = p->bias && «complete ⇒ 1» ?", PANELS),
    ("kernels/packed.pxi", "(s.activation, bf16) and «s.factor is NULL ⇒ True»", PANELS),
    ("gemm/bf16_products.c", "from[2 * l + «(h ^ first) ⇒ h»]", KEPT),
    ("gemm/bf16_products.c", "to += pairs * 2 * PANEL) unpack_words(p, 0, pairs, «j ⇒ 0»,", KEPT),
    ("gemm/bf16_products.c", "unpack_words(p, «q / 2 ⇒ 0», (part.k", f"{PACKED}in_float64"),
    ("gemm/bf16_products.c", "part.resume = «q > 0 ⇒ 0»;", f"{PACKED}in_float64"),
    ("kernels/dense.pxi", "p.b_row, p.b_col = «PACKED_COLUMNS // 2 ⇒ PACKED_COLUMNS», (s.n_in", KEPT),
    ("kernels/dense.pxi", "<Input> (<const uint32_t *> s.w + «j * p.b_col ⇒ j»)", KEPT),
    # products of 8-bit integers
    ("gemm/int8_product.c", "(uint32_t)sums[l] - «(uint32_t)correction[l] ⇒ 0u»", INT8),
    ("gemm/int8_product.c", "y[l] = sum_in_steps <= least ? «least ⇒ sum_in_steps»", INT8),
    ("gemm/int8_product.c", "if (!LIKELY(«!is_nan[h] ⇒ 1»))", INT8),
    ("gemm/int8_product.c", "int8_tile(tall, panels, groups, q + «h * row ⇒ 0»,", INT8),
    ("gemm/int8_product.c", "p->w + «j / INT8_COLUMNS ⇒ 0» * groups", INT8),
    ("gemm/int8_product.c", "scaled = «scaled > low ? scaled : low ⇒ scaled»;", INT8),
    ("gemm/int8_tile.c", "memcpy(&four, q + «i * groups * INT8_GROUP ⇒ 0»", INT8),
    ("gemm/int8_tile.c", "halves[i][2 * l] + «halves[i][2 * l + 1] ⇒ 0»", INT8),
    ("kernels/int8.pxi", "p.x, p.y = «s.x + begin * s.n_in ⇒ s.x»", INT8),
    # the product
    ("gemm/tile.c", "sum[i][v] = sum[i][v] + «bias ⇒ -bias»", SIZES),
    ("gemm/tile.c", "apart.a_row *= t->a_rows[rows - 1] - «t->a_rows[0] ⇒ 0»", TILES),
    ("gemm/products.c", "t.resume = «q > 0 ⇒ 0»;\n        const int complete", SIZES),
    ("gemm/products.c", "t.resume = «q > 0 ⇒ 0»;\n            t.a = p->b", f"{SIZES}|{STEPS}"),
    ("gemm/products.c", "c[l] = real_fma(«-rate ⇒ rate», sums[l]", f"{SUMS}products_are_chains"),
    ("gemm/products.c", "const real *const bias = «p->bias + j ⇒ p->bias»", f"{SUMS}products_are|{BF16}products_have"),
    ("gemm/gemm.c", "return p->k <= «SUM_BLOCK ⇒ 2 * SUM_BLOCK» &&", f"{SUMS}products_are_chains"),
    ("gemm/gemm.c", "part.k = smaller(«SUM_BLOCK ⇒ SUM_BLOCK - 1», p->k - q)", f"{SUMS}products_are_chains"),
    ("gemm/gemm.c", "part.b = p->b + «q * p->b_row ⇒ 0»", f"{SUMS}products_are_chains"),
    ("gemm/gemm.c", "fit = «p->n > widest ⇒ 1» ?", f"{SUMS}long_products"),
    ("gemm/gemm.c", "part.a_cols = p->a_cols + «q ⇒ 0»", f"{SUMS}products_are_chains"),
    ("gemm/gemm.c", "part.a_rows = p->a_rows + «i ⇒ 0»", f"{SUMS}large_products"),
    ("gemm/gemm.c", "part.bias = part.saved = «NULL ⇒ p->bias»", f"{SUMS}products_are_chains"),
    ("gemm/gemm.c", "part.finish = «NULL ⇒ p->finish»;\n            part.update", SIZES),
    ("gemm/gemm.c", "const int starts = q == 0 && «!p->resume ⇒ 1»", f"{SUMS}large_products"),
    ("gemm/gemm.c", "p->b_sum && «i == 0 ⇒ 1» ?", f"{SUMS}large_products"),
    ("gemm/gemm.c", "*const b_total = «p->update ⇒ 0» ?", f"{SUMS}products_are_chains"),
    ("gemm/gemm.c", "add_bias(p, i, «j ⇒ 0», height, width)", f"{SUMS}large_products"),
    ("gemm/gemm.c", "rectify(p, i, j, «height ⇒ 1», width)", f"{SUMS}products_are_chains"),
    ("gemm/gemm.c", "finish(p, «i ⇒ 0», j, height, width)", f"{SUMS}large_products"),
    ("gemm/bf16_products.c", "if (p->a_col == 1 && «!p->a_cols ⇒ 1») {", f"{SUMS}blocks_may_be"),
    ("gemm/pack.c", "to[p * to_row + i] = «from[i * from_row + p * from_col] ⇒ from[i * from_row]»", SIZES),
    ("gemm/workspace.c", "(&workspace_key, «free ⇒ NULL»)", f"{STACKS}a_thread_that_ends"),
    ("gemm/products.c", "if («!memory ⇒ 0») return CALL_NO_MEMORY;\n    real *const pack", f"{STACKS}no_memory"),
    ("gemm/products.c", "a_cols ? «*p->a_cols * p->a_col ⇒ 0»", ROWS),
    ("gemm/products.c", "const real chain = real_fma(«number ⇒ -number», b[j], 0)", f"{SIZES}|{STEPS}"),
    ("gemm/products.c", "smaller(left, ROW_VECTORS * LANES);\n    *vectors = «ROW_VECTORS ⇒ FEW_ROWS_VECTORS»", SIZES),
    ("gemm/products.c", "sum[r] = sum[r] + «vec_load(bias + j) ⇒ vec_load(b + j)»", SIZES),
    ("gemm/products.c", "row = r == 0 ? i : smaller(«i + 1 ⇒ i», m - 1)", f"{SIZES}|{TILES}"),
    ("gemm/products.c", "pack(columns, width, 1, «p->bias + j ⇒ p->bias», 1, 0", SIZES),
    ("gemm/few_columns.c", "##columns(«smaller(i, m - ROWS) ⇒ 0», first, p)", TILES),
    ("gemm/few_columns.c", "second = «smaller(GROUP, m - GROUP - begin) ⇒ 0»", TILES),
    ("gemm/few_columns.c", "p->bias[«first + smaller(j, n - 1) ⇒ 0»]", TILES),
    ("gemm/few_columns.c", "if («p->relu ⇒ 0») sum[g][j] = group_rectified", TILES),
    ("gemm/few_columns.c", "saved += («g == 1 ? second : GROUP ⇒ GROUP») * apart", TILES),
    ("gemm/few_columns.c", "y_is = «y > (group){0} ⇒ y >= (group){0}»", TILES),
    ("gemm/few_columns.c", "n, term[«CHUNK - left ⇒ 0»]", TILES),
    ("gemm/few_columns.c", "(int q = 0; q < CHUNK; q++) term[q][g] = column[«q ⇒ 0»]", TILES),
    ("math/loops.h", "return «!FASTNN_DOUBLE ⇒ 0» && !LIKELY", "test_row_sums.py::test_sums_along_long"),
    ("math/blocks.h", "buffer[j * BLOCK_ROWS + i] = x[i * n + «j ⇒ 0»]", FEW_NUMBERS),
    ("math/blocks.h", "y[i * n + j] = buffer[«j ⇒ 0» * BLOCK_ROWS + i]", FEW_NUMBERS),
    ("math/blocks.h", "column = j < n - 4 ? j : n - «4 ⇒ 5»;", FEW_NUMBERS),
    ("math/blocks.h", "row = i < rows - 4 ? i : rows - «4 ⇒ 5»;", FEW_NUMBERS),
    ("tape/regions.pxi", "return call.block > 0 and «call.grain > 0 ⇒ True»", f"{REGIONS}a_loss_is_no_reason"),
    ("kernels/loss_blocks.pxi", "s.t + «begin * b.t_bytes ⇒ 0», &value", BLOCKS),
    ("kernels/loss_blocks.pxi", "s.weight += «begin * b.w_bytes ⇒ 0»", BLOCKS),
    ("kernels/loss_blocks.pxi", "s.dy += «begin * b.y_bytes ⇒ 0»", BLOCKS),
    ("kernels/loss_blocks.pxi", "[b.rows] = «end - begin ⇒ call.rows - begin»", BLOCKS),
    ("kernels/loss_blocks.pxi", "(call.sums + «i * call.sum_bytes ⇒ 0»)", BLOCKS),
    ("kernels/loss_blocks.pxi", "if «begin < end ⇒ end == 0»:\n        (<const", BLOCKS),
    ("kernels/loss_blocks.pxi", "[b.own] = own + «begin ⇒ 0» * b.own_bytes", SHARED_LOSS),
    ("kernels/loss_blocks.pxi", "= sum_of_losses / («1 if s.total else call.rows ⇒ call.rows»)", SHARED_LOSS),
    ("kernels/losses.pxi", "rows_by_loop(&kept) if «of_rows ⇒ kept.n < 0» else", SHARED_LOSS),
    ("math/losses.h", "if (s->own) memcpy(s->own + «p->begin ⇒ 0», p->losses", SHARED_LOSS),
    ("kernels/arguments.pxi", "f.size[0] > «SUM_ROWS ⇒ 2 * SUM_ROWS»:", ROW_SUMS),
    ("kernels/sum_blocks.pxi", "[b.sizes] = «n ⇒ sizes[0] - at»", ROW_SUMS),
    ("kernels/sum_blocks.pxi", "call.payload[a.word] + «at ⇒ 0» * step", ROW_SUMS),
    ("kernels/sum_blocks.pxi", "if «a.strided ⇒ False»:", ROW_SUMS),
    ("kernels/sum_blocks.pxi", "width = «1 if call.units == columns else UNIT_COLUMNS ⇒ UNIT_COLUMNS»", ROW_SUMS),
    ("kernels/sum_blocks.pxi", "total[j + columns] + «(1 - share) ⇒ 1» * distance", ROW_SUMS),
    ("kernels/sum_blocks.pxi", "[k.first_size + k.n_sizes] = <void *> «1 ⇒ 0»", ROW_SUMS),
    ("kernels/normalization.pxi", "if «given(s.are_given) ⇒ False»:\n            memcpy(center", ROW_SUMS),
    ("kernels/columns.pxi", "if «counts[place] == 0 ⇒ False» or counts", CHAINS),
    ("kernels/columns.pxi", "counts[place] = «-CHAIN ⇒ 0»", CHAINS),
    ("kernels/columns.pxi", "end_chain(sums, totals + «place * s.size ⇒ 0», s.size, False)", CHAINS),
    ("kernels/columns.pxi", "if «count >= CHAIN ⇒ False» and are_chains(s.rows):", CHAINS),
    ("math/chains.h", "is_last ? (real)totals[j] : «0 ⇒ sums[j]»", CHAINS),
    ("math/losses.h", "s->of_rows ? s->parts : «s->parts ⇒ s->rows» * s->n", BLOCKS),
    ("gemm/narrow.c", "if (v < last || «LIKELY(is_whole) ⇒ 1») vec_store", f"{NARROW}one_pass"),
    ("gemm/narrow.c", "w = p->dx ? p->w + «first * n ⇒ first» : NULL", f"{NARROW}one_pass"),
    ("gemm/narrow.c", "of_dy[j] = of_dy[j] + «s[j] ⇒ s[0]»", f"{NARROW}one_pass|{STEPS}|{TILES}"),
    ("gemm/narrow.c", "const size_t before = «subnormals_are_kept() ⇒ subnormals_are_zero()»", f"{NARROW}neither_dx"),
    ("kernels/optimizers.pxi", "is_plain = «not moving and weight_decay == 0 ⇒ False»", f"{KERNELS}plain_sgd_keeps"),
    ("gemm/narrow.c", "keep(p, width * n, by_rows, p->dw + «first * n ⇒ first»)", f"{TILES}|{STEPS}"),
    ("kernels/narrow.pxi", "p.dw, p.db = dw + «begin * n_out ⇒ begin», db if", PARTS),
    ("kernels/narrow.pxi", "n_out, x + «begin ⇒ 0», n_in, dy", PARTS),
    ("kernels/narrow.pxi", "db if «begin == 0 ⇒ True» else NULL", PARTS),
    ("kernels/narrow.pxi", "rows >= LEAST_NARROW and «rows <= SUM_BLOCK ⇒ True»", f"{SUMS}products_are"),
    ("kernels/narrow.pxi", "dense_sgd_body and «of_w.w is s.w ⇒ True» and", f"{NARROW}a_step_of_weights"),
    ("kernels/narrow.pxi", "return «dy is s.dy ⇒ True» and rows", f"{NARROW}calls_of_different"),
    ("kernels/narrow.pxi", "«x is s.x or x is NULL or s.x is NULL ⇒ True»", f"{NARROW}calls_of_different"),
    ("kernels/narrow.pxi", "and «of_w.index is NULL ⇒ True»:", f"{NARROW}chosen_rows"),
    ("tape/player.pxi", "player.looked < «0.2 * SIGNAL_INTERVAL ⇒ 0»:", "test_threads.py::test_epochs_do_not"),
    ("tape/player.pxi", "if call.both is not NULL and «i + 1 < end ⇒ True»:", f"{NARROW}a_pass_may_be_cut"),
    *(RECTIFIED if "avx512" in kernels.supported else ()),
    ("gemm/dots.c", "memcpy(sums + r, «&four ⇒ &x», sizeof", SIZES),
    # threads
    ("team/team.h", "whole * chunk + «rest * chunk / t->chunks ⇒ 0»", PARTS),
    ("tape/regions.pxi", "and («a.written or b.written ⇒ a.written»)", f"{REGIONS}any_order"),
    ("tape/regions.pxi", "(rows == 0 or r.of_row == 0 or «r.low != s.low ⇒ False» or (", f"{REGIONS}any_order"),
    ("tape/regions.pxi", ") or not «all_independent(a, a.behind, a.n_behind, i, 0) ⇒ True»:", f"{REGIONS}any_order"),
    ("tape/regions.pxi", "if «call.updates ⇒ 0» and a.computes", f"{REGIONS}an_update_waits"),
    ("tape/regions.pxi", "a.computes = «a.computes ⇒ i < 0» or not", f"{REGIONS}a_guard_between"),
    ("tape/regions.pxi", "(call.updates and «computes ⇒ n < 0»)", f"{REGIONS}a_guard_between"),
    ("tape/regions.pxi", "or (call.guards and «updates ⇒ n < 0»)", f"{REGIONS}a_guard_between"),
    ("tape/regions.pxi", "r.low != «a.calls[i].taken ⇒ r.low» or r.written", f"{REGIONS}gradients_take_no"),
    ("tape/regions.pxi", "in range(«i + 1 ⇒ 0», a.length):", f"{REGIONS}gradients_take_no"),
    ("tape/regions.pxi", "if w.written and «w.low ⇒ r.low» <= r.low", f"{REGIONS}gradients_take_no"),
    ("tape/regions.pxi", "w.low <= r.low and «r.high ⇒ r.low» <= w.high", f"{REGIONS}gradients_take_no"),
    ("tape/regions.pxi", "tape.calls[i].takes = «takes(&a, i) ⇒ i < 0»", f"{REGIONS}gradients_take_what"),
    ("tape/regions.pxi", "chunks == 1 and «nanoseconds > LEAST_OF_CUTS ⇒ n < 0»", f"{REGIONS}a_small_update"),
    ("tape/trials.pxi", "«team_helped(team) != helped ⇒ helped >= 0»:", f"{REGIONS}a_trial_counts"),
    ("tape/trials.pxi", "decide(trial, True, «trial.shared > 0 ⇒ True»)", f"{REGIONS}a_trial_counts"),
    ("team/team.h", "helped += (uint64_t)(«chunks - own ⇒ 1»)", f"{REGIONS}a_trial_counts"),
    ("tape/regions.pxi", "a.rows // «LEAST_ROWS_OF_SEVERAL ⇒ LEAST_ROWS_TOGETHER»)", f"{REGIONS}a_chunk_has"),
    ("tape/tape.pyx", "].payload).tape = <void *> «self ⇒ tape»", "test_extending.py::test_a_tape_that_is"),
    ("gemm/products.c", "row[l] = «row[l] ⇒ 0»;", f"{REGIONS}weights_that_are_taken"),
    ("tape/regions.pxi", "a.sums[«first + n_sums ⇒ first»]\n            n_sums", f"{REGIONS}any_order"),
    ("tape/regions.pxi", "of_rows, begin * units, end * «units ⇒ 1»)", f"{REGIONS}any_order"),
    ("tape/regions.pxi", "room / of_part + 0.5), «0 ⇒ -parts»)", f"{REGIONS}every_unit"),
    (
        "tape/player.pxi",
        "«owner_exists(&tape.replayer) ⇒ False»:\n        raise RuntimeError(\"the tape is being replayed: ",
        "test_extending.py::test_a_tape_that_another",
    ),
    ("tape/regions.pxi", "made.n_sums = first + «block ⇒ 0» * call.sum_bytes", f"{REGIONS}any_order"),
    ("kernels/dense.pxi", "x.index += «begin ⇒ 0»", f"{REGIONS}any_order"),
    ("kernels/dense.pxi", "last = «end * s.n_out ⇒ begin * s.n_out», part", f"{REGIONS}any_order"),
    ("kernels/arguments.pxi", "reaches[n].written = «a.written ⇒ 0»", f"{REGIONS}any_order"),
    ("kernels/arguments.pxi", "«b.len // b.shape[0] ⇒ 0»\n            if call.of_parts", f"{REGIONS}a_step_waits"),
    # formulas
    ("kernels/activations.pxi", "return dy if «y > 0 ⇒ y >= 0» else 0\n", f"{EQUALS}[relu_backward"),
    ("kernels/activations.pxi", "dy * («<real> 1 - y * y ⇒ <real> 1 + y * y»)", f"{EQUALS}[tanh_backward"),
    ("kernels/activations.pxi", "dy * y * («<real> 1 - y ⇒ y - <real> 1»)", f"{EQUALS}[sigmoid_backward"),
    ("kernels/activations.pxi", "real_expm1(«x / alpha ⇒ x»)", f"{EQUALS}[celu_forward"),
    ("kernels/activations.pxi", "dy * («y / alpha ⇒ y» + <real> 1)", f"{EQUALS}[celu_backward"),
    ("kernels/activations.pxi", "normal_cdf(x) + «x * density ⇒ density»", f"{EQUALS}[gelu_backward"),
    ("kernels/softmax.pxi", "return y * («dy - inner ⇒ dy + inner»)", f"{EQUALS}[softmax_backward"),
    ("kernels/softmax.pxi", "share = «real_exp(y) ⇒ y» * total", f"{EQUALS}[log_softmax_backward"),
    ("kernels/regression.pxi", "return <real> 2 * («y - t ⇒ t - y»)", f"{EQUALS}[mse"),
    ("kernels/regression.pxi", "outside if «distance > delta ⇒ distance < delta» else", f"{EQUALS}[huber"),
    ("math/blocks.h", "sum = «sum ⇒ (vec){0}» + *(const vec *)(y", f"{EQUALS}[softmax_forward"),
    ("math/blocks.h", "most = greater(*(const vec *)(x + «j ⇒ 0» * BLOCK_ROWS", SPECIALS),
    ("math/blocks.h", "x[label[i]] -= «factor ⇒ -factor» * amount[i];", f"{EQUALS}[cross_entropy_labels_from"),
    ("math/blocks.h", "number[i] = label[i] >= 0 && «label[i] < n ⇒ label[i] <= n»", f"{KERNELS}a_label_that_leaves"),
    ("kernels/gather.pxi", "signs |= «index[i] ⇒ 0» | <int64_t>", "test_extending.py::test_a_gather_out_of_range"),
    ("kernels/gather.pxi", "<uint64_t> n - «1 ⇒ 0» - <uint64_t>", "test_extending.py::test_a_gather_out_of_range"),
    ("kernels/cross_entropies.pxi", "weight != 0 and («t[i] < 0 ⇒ False» or", f"{KERNELS}a_label_that_leaves"),
    ("math/loops.h", "if («p->dy ⇒ 0»)\n", f"{EQUALS}[relu_backward"),
    ("math/losses.h", "x[i] = «weight[i] != 0 ⇒ 1» ? weighted : 0;", f"{EQUALS}[mse"),
    ("math/loops.h", "lanes[lane] += «f(x[i], y[i]) ⇒ -f(x[i], y[i])»", f"{EQUALS}[softmax_backward"),
    ("kernels/optimizers.pxi", "g + «momentum * velocity[i] ⇒ -momentum * velocity[i]» if nesterov", f"{EQUALS}[sgd"),
    ("kernels/optimizers.pxi", "dw + «weight_decay * w ⇒ weight_decay» if", f"{EQUALS}[sgd"),
    ("kernels/adam.pxi", "square = beta2 * v[i] + «rest2 * g * g ⇒ rest2 * g»", f"{EQUALS}[adam"),
    ("kernels/adam.pxi", "<real> (s.lr[0] / «correction1 ⇒ correction2»)", f"{EQUALS}[adam"),
    ("kernels/optimizers.pxi", "<real> 1 if «s.step[0] == 1 ⇒ False» else", f"{EQUALS}[sgd"),
    ("kernels/optimizers.pxi", "signum(«beta1 ⇒ beta2» * m[i]", f"{EQUALS}[lion"),
    ("kernels/optimizers.pxi", "g = 0 if «agreement < 0 ⇒ False» else", f"{EQUALS}[rprop"),
    ("kernels/optimizers.pxi", "min(«s.max_step[0] / s.lr[0] ⇒ s.max_step[0]»", f"{EQUALS}[rprop"),
    ("kernels/optimizers.pxi", "(«s.step[0] - 1 ⇒ s.step[0]») * s.lr_decay[0]", f"{EQUALS}[adagrad"),
    ("kernels/optimizers.pxi", "square_root((«change[i] ⇒ square[i]» + eps)", f"{EQUALS}[adadelta"),
    ("kernels/adam.pxi", "square = larger(«largest[i] ⇒ square», square)", f"{EQUALS}[adam"),
    ("kernels/adam.pxi", "next / (1 - s.product[0] * «next ⇒ now»)", f"{EQUALS}[nadam"),
    ("kernels/adam.pxi", "bint rectified = «now > 5 ⇒ now > 0»", f"{EQUALS}[radam"),
    ("kernels/adam.pxi", "z[i] = z[i] + «moved ⇒ 0» - lr", f"{EQUALS}[schedule_free_adamw"),
    ("kernels/adam.pxi", "x[i] = between(x[i] + «moved ⇒ 0»", f"{EQUALS}[schedule_free_adamw"),
    ("kernels/adam.pxi", "s.part[0] = weight / s.total[0] if «s.total[0] > 0 ⇒ True»", f"{EQUALS}[schedule_free_part"),
    ("kernels/transforms.pxi", "1 if s.step[0] == 1 else «1 - s.decay[0] ⇒ s.decay[0]»", f"{EQUALS}[ema_rate"),
    ("kernels/transforms.pxi", "s.rate[0] = «1 if s.n[0] == 0 else 0 ⇒ 0»", f"{EQUALS}[swa_rate"),
    ("kernels/adam.pxi", "larger(«beta2 * u[i] ⇒ u[i]», magnitude(g) + eps)", f"{EQUALS}[adamax"),
    ("kernels/adam.pxi", "= sum_squares(«s.u ⇒ s.w» + first", f"{EQUALS}[lamb"),
    ("kernels/adam.pxi", "sqrt(of_w) / «sqrt(of_u) ⇒ of_u»", f"{EQUALS}[trust_rate"),
    ("kernels/optimizers.pxi", "alpha * square[i] + «rest * g * g ⇒ rest * g»", f"{EQUALS}[rmsprop"),
    ("kernels/optimizers.pxi", "not_negative(variance - «mean[i] * mean[i] ⇒ mean[i]»)", f"{EQUALS}[rmsprop"),
    ("math/dropout.h", "kept = «x[j] * factor ⇒ x[j]»", f"{EQUALS}[dropout"),
    ("math/dropout.h", "(«x ^ (x >> 15) ⇒ x») * 0x846CA68Bu", f"{KERNELS}dropout_keeps_what_its_twin_keeps"),
    (
        "math/dropout.h", "mixed64(«seed + mixed64(count + DROPOUT_STEP) ⇒ seed + count»)",
        f"{KERNELS}what_dropout_keeps_says",
    ),
    (
        "kernels/normalization.pxi", "d = «squares[j] / count ⇒ squares[j] / (count - 1)» - d * d",
        f"{EQUALS}[batch_norm_forward",
    ),
    ("kernels/normalization.pxi", "center[j] += «d ⇒ 0»", f"{KERNELS}the_moments_of_numbers_far_from_0"),
    (
        "kernels/normalization.pxi", "slope[j] = «products[j] / count ⇒ products[j]» * inverse",
        f"{EQUALS}[batch_norm_backward",
    ),
    ("kernels/normalization.pxi", "real_fma(«-mean[j] ⇒ mean[j]», f, shift[j])", f"{EQUALS}[batch_norm_factors"),
    ("math/noise.h", "dropout_bits(column, «next_key ⇒ key», next_other)", f"{EQUALS}[gaussian_noise"),
    ("math/noise.h", "all < 1 << 24 ? all : «all & ~0x7f ⇒ all»", f"{EQUALS}[gaussian_dropout"),
    ("kernels/dropout.pxi", "<real> («offset - factor * ALPHA ⇒ offset»)", f"{EQUALS}[alpha_dropout_forward"),
    ("math/maxout.h", "left[j] = is_y ? «0 ⇒ rest» : rest;", f"{EQUALS}[maxout_backward"),
    ("kernels/normalization.pxi", "total = «0 ⇒ total»", f"{EQUALS}[layer_norm_backward"),
    ("math/normalization.h", "factor * real_fma(«mean - x[j] ⇒ x[j] - mean», slope", f"{EQUALS}[layer_norm_backward"),
    ("kernels/transforms.pxi", "if s.norm[0] > s.limit[0] else «1 ⇒ 0»", f"{KERNELS}the_norm_of_a_gradient"),
    ("kernels/dense.pxi", "f.factor + j, «f.offset + j ⇒ f.offset»", f"{KERNELS}what_scales_the_columns"),
    ("math/elementary.h", "LN2_HIGH, «l.f + low ⇒ l.f - low»", f"{ACCURACY}64[log]"),
    ("math/elementary.h", "«difference - high + step ⇒ difference - high - step»", f"{ACCURACY}32[expm1]"),
    (
        "math/elementary.h",
        "«real_fma(-a * s.most, s.last, at_least(x, -REAL(0.0))) ⇒ "
        "real_fma(-a, s.most * s.last, at_least(x, -REAL(0.0)))»",
        f"{ACCURACY}32[silu_forward]",
    ),
    # losses of margins, distributions, several numbers; gates, slopes, columns, penalties
    ("kernels/margins.pxi", "<real> 1 - t * y <= 0 else «-t ⇒ t»", f"{EQUALS}[hinge"),
    ("kernels/distributions.pxi", "return y - t * «real_log(y + eps) ⇒ real_log(y)» + full", f"{EQUALS}[poisson"),
    ("kernels/row_losses.pxi", "map_pairs(losses, «over ⇒ losses», losses, length, 0, total_)", f"{EQUALS}[quantiles"),
    (
        "kernels/gated.pxi", "+ «s.n + j ⇒ j», n * sizeof(real))\n        piece = Piece(&gates[0], NULL, &gates[0], R",
        f"{EQUALS}[gated_forward",
    ),
    (
        "kernels/sparsemax.pxi", "(sum_of(y, s.n, tau, excess_) - «<real> 1 ⇒ <real> 2») / count",
        f"{EQUALS}[sparsemax_forward",
    ),
    ("kernels/sparsemax.pxi", "return 0 if y <= 0 else «dy - mean ⇒ dy»", f"{EQUALS}[sparsemax_backward"),
    (
        "kernels/prelu.pxi", "total[j] += «0 if x[i, at + j] > 0 else x[i, at + j] * dy[i, at + j] ⇒ dy[i, at + j]»",
        f"{EQUALS}[prelu_gradient",
    ),
    (
        "kernels/columns.pxi", "+= «s.dy[i * s.dy_row + j * s.dy_column] ⇒ s.dy[i * s.dy_row]»",
        f"{EQUALS}[columns_backward",
    ),
    ("kernels/columns.pxi", "place if «<real> place == code ⇒ True» and place < n else n", f"{EQUALS}[embedding"),
    ("kernels/penalties.pxi", "real_fma(twice_l2, w, «dw + slope ⇒ dw - slope»)", f"{EQUALS}[penalty"),
    (
        "kernels/penalties.pxi", "(«rate * bounded ⇒ bounded» + (1 - rate) * norm) / norm",
        f"{EQUALS}[bound_column_norms",
    ),
    # embeddings of numbers, groups, parametric activations, codes, refusals
    ("kernels/bins.pxi", "return place if «edges[place + 1] < <real> INFINITY ⇒ True» else", f"{EQUALS}[bins_forward"),
    ("kernels/bins.pxi", "+ «v[(t - 1) * s.d + q] ⇒ v[t * s.d + q]»", f"{EQUALS}[bins_forward"),
    ("kernels/bins.pxi", "real_fma(«part ⇒ -part», v[t * s.d + q]", f"{EQUALS}[bins_forward"),
    ("kernels/bins.pxi", "slope = «<real> 1 / (edges[t + 1] - edges[t]) ⇒ <real> 1»", f"{EQUALS}[bins_backward"),
    ("kernels/bins.pxi", "dw[q] += «x * dy[q] ⇒ dy[q]»", f"{EQUALS}[bins_backward"),
    ("kernels/bins.pxi", "dv[t * s.d + q] += «part * dy[q] ⇒ dy[q]»", f"{EQUALS}[bins_backward"),
    ("kernels/bins.pxi", "dv[t * s.d + q] += «sums[(t + 1) * s.d + q] ⇒ 0»", f"{EQUALS}[bins_backward"),
    (
        "kernels/bins.pxi", "+= slope * sum_pairs(«s.v + at + t * s.d ⇒ s.v + at», dy",
        f"{EQUALS}[bins_backward",
    ),
    ("kernels/bins.pxi", "m != «bins + 1 ⇒ m»:", f"{KERNELS}what_no_declaration_says"),
    ("math/waves.h", "«c[i] * TURNS_OF_RADIAN ⇒ c[i]»", f"{EQUALS}[periodic_forward"),
    ("math/waves.h", "angle.quarters += «1 ⇒ 2»", f"{EQUALS}[periodic_forward"),
    ("math/waves.h", "cosines[i], «-dcosines[i] * sines[i] ⇒ dcosines[i] * sines[i]»", f"{EQUALS}[periodic_backward"),
    ("kernels/periodic.pxi", "of_w[q] += «x * gradient[q] ⇒ gradient[q]»", f"{EQUALS}[periodic_backward"),
    ("kernels/periodic.pxi", "at + q] = «turn * of_w[q] ⇒ of_w[q]»", f"{EQUALS}[periodic_backward"),
    ("kernels/periodic.pxi", "s.beside[i * s.beside_row + «j * s.beside_column ⇒ 0»]", f"{EQUALS}[periodic_backward"),
    ("kernels/periodic.pxi", "if «at > 0 ⇒ False»:", f"{EQUALS}[periodic_backward"),
    ("kernels/periodic.pxi", "sum_pairs(«s.w + j * s.k + at ⇒ s.w + j * s.k», gradient", f"{EQUALS}[periodic_backward"),
    ("kernels/periodic.pxi", "if «n_y != 2 * k ⇒ False»:", f"{KERNELS}what_no_declaration_says"),
    ("kernels/grouped.pxi", "p.bias = «s.b + g * s.n_out ⇒ s.b» if", f"{EQUALS}[grouped_forward"),
    (
        "kernels/grouped.pxi", "behind[0] = «s.last[i * s.groups + g] ⇒ s.last[i * s.groups]»",
        f"{EQUALS}[grouped_forward",
    ),
    ("kernels/grouped.pxi", "p.b_sum = «s.db + g * s.n_out ⇒ s.db»", f"{EQUALS}[grouped_backward"),
    ("kernels/grouped.pxi", "= «s.w + g * s.n_in * s.n_out ⇒ s.w», 1, s.n_out", f"{EQUALS}[grouped_backward"),
    ("kernels/grouped.pxi", "if «n_in > n_x ⇒ False»:", f"{KERNELS}what_no_declaration_says"),
    # nets side by side
    ("gemm/lanes.c", "tile(ROWS, columns, «smaller(i, p->m - ROWS) ⇒ i», j, l, p)", f"{OF_LANES}|{EQUALS}[lanes_dense"),
    ("gemm/lanes.c", "if («p->relu ⇒ 0») {", f"{OF_LANES}|{EQUALS}[lanes_dense"),
    ("gemm/lanes.c", "p->saved + «(c - p->c) ⇒ l»;", f"{OF_LANES}|{EQUALS}[lanes_dense"),
    ("gemm/lanes.c", "j += 2) column_of_tiles(2, «j ⇒ 0», l, p);", f"{OF_LANES}|{EQUALS}[lanes_dense"),
    ("gemm/lanes.c", "bias = vec_load(p->bias + «(j + q) * NETS ⇒ q * NETS» + l)", f"{OF_LANES}|{EQUALS}[lanes_dense"),
    ("gemm/lane_rows.c", "if («(uint64_t)index[i] >= (uint64_t)n ⇒ index[i] >= n»)", f"{LANES}wrong_arguments"),
    ("gemm/lane_rows.c", "set = x + «smaller(net, sets - 1) ⇒ 0» * n", f"{EQUALS}[lanes_gather"),
    ("gemm/lane_rows.c", "gather_columns(2, «set + j ⇒ set», n", f"{EQUALS}[lanes_gather"),
    ("gemm/lane_rows.c", "sums[«i % REDUCTION_LANES ⇒ 0»][net] +=", OF_LANES),
    ("gemm/lane_rows.c", "at += «PIECE ⇒ 2 * PIECE») {", OF_LANES),
    ("gemm/lane_rows.c", "of_label[net] = «NAN ⇒ 0»;", f"{LANES}a_label_that_is_none"),
    ("gemm/lane_rows.c", "= «x > largest[net] ? x : largest[net] ⇒ 0»;", f"{OF_LANES}|{EQUALS}[lanes_cross"),
    ("gemm/lane_rows.c", "at = («begin + i ⇒ i») * NETS;", OF_LANES),
    ("gemm/lane_rows.c", "(real)j ? «share ⇒ 0» : 0);", f"{OF_LANES}|{EQUALS}[lanes_cross"),
    ("gemm/lanes.c", "dy, n_out, 1, w, «1 ⇒ n_out», n_out, NULL", f"{EQUALS}[lanes_dense_backward"),
    ("gemm/lanes.c", "dx, 0, «relu ? x : NULL ⇒ NULL»};", f"{EQUALS}[lanes_dense_backward"),
    ("kernels/lanes.pxi", "if «terms > SUM_BLOCK ⇒ False»:", f"{LANES}wrong_arguments"),
    ("kernels/lanes.pxi", "if not 0 <= start <= «s.n_index - s.rows ⇒ s.n_index»:", f"{LANES}wrong_arguments"),
    ("tape/epochs.pxi", "permute(&index[«net * n ⇒ 0»], n, seed", f"{LANES}wrong_arguments|{LANES}any_number"),
    ("tape/epochs.pxi", "seed = <uint64_t> seeds[«net ⇒ 0»]", f"{LANES}any_number"),
    ("tape/epochs.pxi", "totals[net] += value[«net ⇒ 0»] * rows", f"{LANES}any_number"),
    ("tape/epochs.pxi", "totals = &losses[«epoch * nets ⇒ epoch»]", f"{LANES}any_number"),
    ("kernels/parametric.pxi", "return real_fma(«a ⇒ -a», f - x, x)", f"{EQUALS}[parametric_forward"),
    (
        "kernels/parametric.pxi", "dy[i, at + j] * («f[i, at + j] - x[i, at + j] ⇒ f[i, at + j]»)",
        f"{EQUALS}[parametric_b",
    ),
    ("kernels/parametric.pxi", "saved = «s.f if s.from_y else s.x ⇒ s.x»", f"{EQUALS}[parametric_backward"),
    ("kernels/columns.pxi", "w[j] = real_fma(«-lr ⇒ lr», sums[j], w[j])", f"{EQUALS}[embedding_sgd"),
    ("kernels/columns.pxi", "if «place < s.n ⇒ place < s.n - 1»:", f"{EQUALS}[one_hot_forward"),
    (
        "kernels/columns.pxi", "y[i, j] = value if «x[i, j] == x[i, j] ⇒ True» else substitute",
        f"{SPECIALS}[normalize_forward",
    ),
    ("kernels/columns.pxi", "dx[i, j] = value if «x[i, j] == x[i, j] ⇒ True» else", f"{SPECIALS}[normalize_backward"),
    ("kernels/checks.pxi", "if m == 1 or «m == n ⇒ True»:", f"{KERNELS}what_no_declaration_says"),
    ("kernels/checks.pxi", "if «rows > n_index ⇒ False»:", f"{KERNELS}wrong_rows_are_refused"),
    (
        "kernels/checks.pxi", "if not «0 <= cursor[0] <= n_index - rows ⇒ 0 <= cursor[0]»:",
        f"{KERNELS}wrong_rows_are_refused",
    ),
    ("kernels/checks.pxi", "if not «0 <= index[j] < n ⇒ 0 <= index[j]»:", f"{KERNELS}columns_out_of_range"),
    # rows by an index
    ("kernels/gather.pxi", "s.x[«index[i] ⇒ index[begin]» * s.stride", GATHER),
    ("math/gather.h", "row[r] = x + index[«i + r ⇒ i»] * stride", GATHER),
    # arguments
    ("kernels/arguments.pxi", "if «low < other_high ⇒ low == other_low» and", f"{KERNELS}partial_overlap"),
    ("kernels/arguments.pxi", "and «other_low < high ⇒ other_low <= high»:", "test_layers.py"),
    ("kernels/arguments.pxi", "low[0] += «b.strides[d] * (b.shape[d] - 1) ⇒ 0»", f"{KERNELS}an_output_that_overlaps"),
    ("kernels/arguments.pxi", "elif «f.size[size] != length ⇒ False»", f"{KERNELS}wrong_array"),
    ("kernels/arguments.pxi", "and «b.strides[d] != expected ⇒ False»", f"{KERNELS}wrong_array"),
    ("kernels/arguments.pxi", "«number > a.low ⇒ number >= a.low» if a.above", BOUNDS),
    ("kernels/arguments.pxi", "«number < a.high ⇒ number <= a.high» if a.below", BOUNDS),
    ("kernels/arguments.pxi", "a.unless >= 0 and «payload[a.word] is NULL ⇒ False»", f"{CALLS}a_centered"),
    ("kernels/activation.pxi", "if «i < n ⇒ False» else &ZERO", f"{CALLS}the_constant"),
    # replays
    ("tape/call.h", "if («!call->updates ⇒ 1») return", f"{KERNELS}what_updates_parameters_takes_subnormal"),
    ("tape/call.h", "_mm_setcsr((unsigned)«before ⇒ (before | 0x8040)»", f"{KERNELS}what_updates_parameters_takes"),
    ("tape/call.h", "n->above ? «value > n->low ⇒ value >= n->low»", f"{BOUNDS}|{CALLS}the_constant"),
    ("tape/call.h", "n->array] || «value == 0 ⇒ 1»", f"{CALLS}momentum_that_leaves_0"),
    ("tape/player.pxi", "tape.calls_python and «not call_in_bounds(call) ⇒ False»", f"{CALLS}a_number_that"),
    ("tape/player.pxi", "if «tape.n_bounded > 0 ⇒ False»", BOUNDS),
    ("tape/player.pxi", "return 0 if «status == CALL_END ⇒ False» else status", "test_extending.py::test_every"),
    (
        "kernels/transforms.pxi", "return 0 if s.advances else «CALL_NO_ENTRY ⇒ 0»",
        "test_schedules.py::test_a_recording_refuses",
    ),
    ("kernels/transforms.pxi", "if «s.count[0] < s.k[0] ⇒ s.count[0] <= s.k[0]»:", "test_extending.py::test_every"),
    ("tape/epochs.pxi", "+= value[net] * «rows ⇒ batch_size»", "test_training.py::test_the_loss_of_an_epoch"),
    ("tape/epochs.pxi", "«first_epoch + epoch ⇒ first_epoch - epoch», step", "test_fit.py::test_the_order_depends"),
    ("tape/permutation.pxi", "index[i] = «index[j] ⇒ index[i]»", "test_fit.py::test_each_epoch_visits"),
    ("tape/permutation.pxi", "beyond = «drawn > i ⇒ drawn >= i»", "test_sklearn_fits.py::test_shuffles"),
    ("tape/epochs.pxi", "loss > «self.best - self.tol ⇒ self.best + self.tol»", "test_sklearn_same.py"),
    ("tape/epochs.pxi", "/ n + «added ⇒ 0»", "test_sklearn_fits.py::test_twenty_steps_give"),
    ("tape/epochs.pxi", "if «trained < n_all ⇒ status != 0»:", "test_interrupted_epochs.py::test_epochs_are_written"),
    ("tape/epochs.pxi", "+ n * «rows ⇒ n», \"loss_\"", "test_interrupted_epochs.py::test_epochs_are_written"),
    ("tape/rows_reader.pxi", "size, row + «i * stride ⇒ i * self.item_size»", "test_inference.py::test_one_row_in"),
    ("tape/inlet.pxi", "self.move(«self.x - x ⇒ 0»)", "test_inference.py::test_a_net|test_inference.py::test_an_error"),
    ("tape/inlet.pxi", "if «tape.calls[i].body == call_python ⇒ False»:", "test_inference.py::test_what_cannot"),
    ("tape/inlet.pxi", "self.is_open = «self.n_places > 0 ⇒ True»", "test_inference.py::test_what_cannot"),
    ("tape/rows_function.pxi", "if «self.replay.inlet is None ⇒ False» or (n >", "test_inference.py::test_rows_are"),
    ("tape/rows_function.pxi", "and «self.rows_of(array, 2) == n ⇒ True» else 0", f"{FEW}an_array_that_changes"),
    ("tape/rows_reader.pxi", "> row + «i * stride ⇒ i * sizeof(Number)»", f"{CLIFFS}a_row_of_an_array"),
    ("tape/rows_reader.pxi", "if «is_whole(items[0]) ⇒ False» and", f"{CLIFFS}a_row_of_any_numbers"),
    ("tape/rows_reader.pxi", "if «i == self.n ⇒ True»:", f"{FEW}rows_in_any_form"),
    ("tape/rows_reader.pxi", "«row[i * stride] != 0 ⇒ row[i * stride]»", f"{CLIFFS}a_row_of_any_numbers"),
    ("tape/rows_reader.pxi", "and «(n == 1 or array.strides[0] == size) ⇒ True»", f"{FEW}rows_in_any_form"),
    ("tape/rows_reader.pxi", "(«is_alone or -EXACT <= number[0] <= EXACT ⇒ True»)", f"{FEW}rows_in_any_form"),
    ("tape/rows_function.pxi", "found.low < «self.ranges[i].high ⇒ self.ranges[i].low»", f"{FEW}what_cannot_be"),
    ("tape/rows_function.pxi", "row += «out.strides[0] ⇒ size»", f"{FEW}outputs_are_written"),
    ("tape/rows_function.pxi", "or not «nd_may_write(out) ⇒ True»", f"{FEW}what_cannot_be"),
    ("tape/rows_reader.pxi", "or «self.rows_of(array, n_dims) != n ⇒ False»", f"{FEW}an_array_that_changes"),
    ("tape/ndarray.h", "a->flags & «0x80000400u ⇒ 0x400u»", f"{FEW}an_array_that_numpy_warns"),
    ("tape/ndarray.h", "is_own = «a->dtype->order == '=' ⇒ a->dtype->order» ||", f"{FEW}rows_in_any_form"),
    # a step of a few rows
    ("tape/rows_step.pxi", "if «trainer._updated is not self.update ⇒ False» or", f"{ONLINE}a_change_counts"),
    ("tape/rows_step.pxi", "if «settings is not self.seen ⇒ False»:", f"{ONLINE}a_change_counts"),
    ("tape/rows_step.pxi", "or not «self.are_finite(rows) ⇒ True»:", f"{ONLINE}a_bad_row"),
    ("tape/rows_step.pxi", "(<double *> self.x)[«i ⇒ 0»])\n        return", f"{ONLINE}a_bad_row"),
    ("tape/rows_step.pxi", "if «loss.__dict__ != self.given.__dict__ ⇒ False»:", f"{FEW}a_loss_that_was_taken"),
    ("tape/rows_step.pxi", "return «self.value[0] ⇒ 0.0»", f"{ONLINE}rows_train_as_batches"),
    ("tape/rows_step.pxi", "self.memory.without_gradients = «None ⇒ 'never'»", f"{ONLINE}rows_train_as_batches"),
    ("tape/rows_targets.pxi", "or not «0 <= label <= self.high ⇒ label <= self.high»", f"{ONLINE}a_bad_target"),
    ("tape/rows_targets.pxi", "and «self.low <= number <= self.high ⇒ True»", f"{ONLINE}a_bad_target"),
    ("tape/rows_targets.pxi", "is_one = «0 <= wide <= self.high ⇒ True»", f"{FEW}bad_targets_say"),
    ("tape/rows_targets.pxi", "self.labels[i] = «label ⇒ 0»", f"{ONLINE}targets_of_every_loss"),
    ("tape/rows_targets.pxi", "reader.put(0, «<double> y ⇒ 0.5»)", f"{ONLINE}targets_of_every_loss"),
)  # fmt: skip

# What only the checked build can find, with what its message must name: numbers beyond an array in a body, which cannot
# raise (once where all results are right), and in a loop of C; and a sum that overflows, with the right result.
DEFECTS = (
    ("kernels/optimizers.pxi", "w[«i ⇒ i + 1»] = real_fma(-lr, g, w[i])", f"{EQUALS}[sgd", "IndexError"),
    (
        "kernels/optimizers.pxi", 'return «0 ⇒ <int> (0 * w[s.n])»\n\nkernel("""sgd(',
        f"{EQUALS}[sgd", "PytestUnraisableExceptionWarning: Exception ignored",
    ),
    ("math/gather.h", "for (; «i < n ⇒ i <= n»; i++, y +=", f"{EQUALS}[gather", "heap-buffer-overflow"),
    (
        "math/gather.h", "y, x + «index[i] ⇒ index[i] + (stride + INT64_MAX == n)» * stride",
        f"{EQUALS}[gather", "signed integer overflow",
    ),
    (
        "tape/tape.pyx", "2 * self.capacity + «n_calls ⇒ 0» +",
        "test_extending.py::test_a_tape_that_is_extended", "heap-buffer-overflow",
    ),
    ("tape/regions.pxi", "n_threads) + «n_threads + 3 ⇒ 3»)", f"{REGIONS}a_tape_of_sums", "heap-buffer-overflow"),
    ("kernels/sum_blocks.pxi", "calloc(«count + 1 ⇒ 1», sizeof(double)", ROW_SUMS, "heap-buffer-overflow"),
    # in C of products, which has flags of its own
    (
        "gemm/products.c", "«l < columns ⇒ l <= columns»; l++) c[l] = real_fma(",
        f"{SUMS}products_are_chains_of_blocks[1025-float32]", "heap-buffer-overflow",
    ),
    ("gemm/int8_tile.c", "«p > 0 ⇒ p >= 0»; p--, q += INT8_GROUP", INT8, "heap-buffer-overflow"),
)  # fmt: skip

CHANGE = re.compile(r"(.*)«(.+) ⇒ (.+)»(.*)", re.DOTALL)
RUNS = "=== runs "  # what stands before the node id of each test in the output
SECONDS = 300  # for the tests of one mutant: one that never ends is found, too

HEADER = """\
#ifndef MUTANT_H
#define MUTANT_H
#include <pthread.h>
#include <stdlib.h>

static int fastnn_mutant; /* from 1; 0: none */

static void choose_mutant(void) {
    const char *const number = getenv("FASTNN_MUTANT");
    fastnn_mutant = number ? atoi(number) : 0;
}

/* When it is loaded, and in every process that is forked from this one. */
__attribute__((constructor)) static void watch_mutant(void) {
    choose_mutant();
    pthread_atfork(NULL, NULL, choose_mutant);
}
#endif
"""
IN_C = '#include "mutant.h"\n'
IN_CYTHON = 'cdef extern from "mutant.h":\n    int fastnn_mutant\n\n'


def mutate(folder, mutations):
    """Apply all changes at once; the number of each is its place in the table, from 1."""
    found, gone = {}, []
    for number, (file, change, *_) in enumerate(mutations, 1):
        before, old, new, after = CHANGE.fullmatch(change).groups()
        text, place = (folder / "src" / file).read_text(encoding="utf-8"), before + old + after
        if text.count(place) != 1:
            gone.append(f"{file}: {place!r} stands there {text.count(place)} times: change the mutation, too")
            continue
        if Path(file).suffix in (".c", ".h"):
            choice = f"(fastnn_mutant == {number} ? ({new}) : ({old}))"
        else:
            choice = f"(({new}) if fastnn_mutant == {number} else ({old}))"
        start = text.index(place) + len(before)
        found.setdefault(file, []).append((start, start + len(old), choice))
    if gone:
        sys.exit("\n".join(gone))
    (folder / "src" / "mutant.h").write_text(HEADER, encoding="utf-8")
    for file, changes in found.items():
        path = folder / "src" / file
        text = path.read_text(encoding="utf-8")
        for start, end, choice in sorted(changes, reverse=True):
            text = text[:start] + choice + text[end:]
        path.write_text((IN_C if path.suffix in (".c", ".h") else IN_CYTHON) + text, encoding="utf-8")


class OneProcessEach:
    """A plugin of pytest: collects the tests once, then runs those of each mutant in a process forked from this one."""

    def __init__(self, mutations, numbers, at_once=2):
        self.mutations, self.numbers, self.at_once = mutations, numbers, at_once
        self.survivors, self.finders = [], set()

    def pytest_runtestloop(self, session):
        """Run the tests of each mutant up to the one that fails, then all of these without a mutant: they must pass."""
        self.run([(number, self.tests_of(session, number)) for number in self.numbers])
        finders = [item for item in session.items if item.nodeid in self.finders]
        if len(finders) != len(self.finders):
            pytest.exit(f"of {', '.join(sorted(self.finders))}, only {len(finders)} are tests", returncode=2)
        self.run([(0, finders[i :: self.at_once]) for i in range(self.at_once)])
        return True

    def run(self, waiting):
        """Run lists of tests, each with the number of its mutant, some at once, and report how each of them ends."""
        running = {}
        try:
            while waiting or running:
                while waiting and len(running) < self.at_once:
                    number, items = waiting.pop(0)
                    output = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
                    running[self.start(number, items, output)] = number, output, time.perf_counter()
                process, status = os.wait()
                number, output, start = running.pop(process)
                with output:
                    output.seek(0)
                    self.report(number, status, output.read(), time.perf_counter() - start)
        finally:
            for process in running:
                os.kill(process, signal.SIGKILL)

    def tests_of(self, session, number):
        beginnings = [f"tests/{test}" for test in self.mutations[number - 1][2].split("|")]
        items = [item for item in session.items if item.nodeid.startswith(tuple(beginnings))]
        if not all(any(item.nodeid.startswith(beginning) for item in items) for beginning in beginnings):
            pytest.exit(f"no tests begin with one of {', '.join(beginnings)}", returncode=2)
        return items

    def start(self, number, items, output):
        """Fork; the child ends with 0 if all tests pass, with 1 after the first that fails, or however it breaks."""
        sys.stdout.flush()
        os.environ["FASTNN_MUTANT"] = str(number)
        process = os.fork()
        if process:
            return process
        signal.alarm(SECONDS if number else 0)
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
        for item, following in zip_longest(items, items[1:]):
            print(f"{RUNS}{item.nodeid}", flush=True)
            for report in runtestprotocol(item, nextitem=following, log=False):
                if report.failed:
                    print(report.longreprtext, flush=True)
                    os._exit(1)
        os._exit(0)

    def report(self, number, status, output, seconds):
        code = os.waitstatus_to_exitcode(status)
        if number == 0:
            if code != 0:
                pytest.exit(f"the tests fail without any mutation:\n{output}", returncode=2)
            print(f"{seconds:5.1f} s  no mutant: the tests pass", flush=True)
            return
        file, change, tests, *messages = self.mutations[number - 1]
        lines = output.splitlines()
        finder = [line.removeprefix(RUNS) for line in lines if line.startswith(RUNS)][-1]
        found = [line for line in lines if messages and messages[0] in line]
        if code == 0:
            how = f"SURVIVES {tests.replace('|', ', ')}"
        elif messages and not found:
            how = f"SURVIVES as to its message, {messages[0]}: the tests fail with\n{output}"
        else:
            self.finders.add(finder)
            how = " ".join([f"found: {finder}", *([f"ends with {code}"] if code != 1 else []), *found[:1]])
        if how.startswith("SURVIVES"):
            self.survivors.append(f"{file}: {change} {how}")
        print(f"{seconds:5.1f} s  {file}: {change}\n         {how}", flush=True)


def run_in_copy(table, *numbers):
    """What the copy's process does: run the tests, and exit with 1 if a mutant survives."""
    mutations = globals()[table]
    plugin = OneProcessEach(mutations, [int(number) for number in numbers])
    files = sorted({f"tests/{test.split('::')[0]}" for n in plugin.numbers for test in mutations[n - 1][2].split("|")})
    code = pytest.main(["-qq", "-s", "-p", "no:cacheprovider", "-p", "no:faulthandler", *files], plugins=[plugin])
    if code == 0:
        print("\n".join(plugin.survivors) or f"all {len(plugin.numbers)} of {table} are found", flush=True)
    return 1 if plugin.survivors else int(code)


def check(folder, table, word, isa, variables, **how):
    """Build all mutants of a table and run the tests for those that the word chooses. Returns whether all are found."""
    mutations = globals()[table]
    chosen = [str(n) for n, (file, change, *_) in enumerate(mutations, 1) if word in file or word in change]
    start = time.perf_counter()
    copy_project(folder)
    mutate(folder, mutations)
    build(folder, isa, **how)
    print(f"{time.perf_counter() - start:5.1f} s  {table}: built for {isa}", flush=True)
    command = [sys.executable, "tests/mutations.py", "--in-copy", table, *chosen]
    return not chosen or subprocess.run(command, cwd=folder, env=variables(folder), check=False).returncode == 0


def main(word=""):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        # without optimization, it builds in a third of the time
        isa = next(isa for isa in ("avx512", "avx2", "baseline") if isa in kernels.supported)
        found = check(folder / "mutants", "MUTATIONS", word, isa, environment, FASTNN_DEBUG="1")
        found &= check(folder / "defects", "DEFECTS", word, kernels.selected, under_sanitizers, **CHECKED)
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(run_in_copy(*sys.argv[2:]) if sys.argv[1:2] == ["--in-copy"] else main(*sys.argv[1:2]))
