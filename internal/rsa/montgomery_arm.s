// SPDX-License-Identifier: GPL-3.0-or-later

//go:build arm.7

#include "textflag.h"

// UMAAL (ARM Architecture Reference Manual, A8.8.247) multiplies two words and
// adds two others: what is in low and the carry. The product cannot exceed 64
// bits, of which the upper half is the next carry. Go's assembler does not know
// it.
#define UMAAL(low, carry, n, m) WORD $(0xe0400090 | carry<<16 | low<<12 | m<<8 | n)

#define FOUR \
	MOVM.IA.W	(R1), [R5, R6, R7, R8]; \
	MOVM.IA	(R0), [R9, R11, R12, R14]; \
	UMAAL(9, 4, 5, 3); \
	UMAAL(11, 4, 6, 3); \
	UMAAL(12, 4, 7, 3); \
	UMAAL(14, 4, 8, 3); \
	MOVM.IA.W	[R9, R11, R12, R14], (R0)

// func addMultiple(z, x []big.Word, y big.Word) (carry big.Word)
//
// R14, the link register, is in the frame. R10 is g; R11 is the assembler's, which needs it for no instruction here.
TEXT ·addMultiple(SB), NOSPLIT, $4-32
	MOVW	z+0(FP), R0
	MOVW	x+12(FP), R1
	MOVW	x_len+16(FP), R2
	MOVW	y+24(FP), R3
	MOVW	$0, R4
	B	next

round:
	FOUR
	FOUR
	FOUR
	FOUR

next:
	SUB.S	$16, R2
	BGE	round

	MOVW	R4, carry+28(FP)
	RET
