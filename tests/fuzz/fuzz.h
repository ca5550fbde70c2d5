/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fuzz target defines this one function and returns 0. libFuzzer calls it (make build/fuzz/NAME_fuzz), and so
 * does replay.c over tests/fuzz/corpus/NAME/ (make check-fuzz).
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
