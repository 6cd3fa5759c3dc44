// SPDX-License-Identifier: GPL-3.0-or-later

//go:build arm.7

#include "textflag.h"

// SHA-256's compression of whole blocks (FIPS 180-4, 6.2.2) by the instructions
// that every ARMv7 has, with what the compiler does not make of them: ARM's barrel
// shifter rotates an operand for nothing. R10 is g; R11 is the assembler's, which needs it for no instruction
// here.
//
// Each of the big sigmas is one rotation of a sum: ROTR6 ^ ROTR11 ^ ROTR25 is
// ROTR6 of x ^ ROTR5(x) ^ ROTR19(x), and ROTR2 ^ ROTR13 ^ ROTR22 is ROTR2 of
// x ^ ROTR11(x) ^ ROTR20(x). Maj(a,b,c) is ((a^b) & (b^c)) ^ b, and a^b is the
// next round's b^c: AB and BC change their places from round to round.

#define A R0
#define B R1
#define C R2
#define D R3
#define E R4
#define F R5
#define G R6
#define H R7
#define X R8
#define Y R9
#define T0 R11
#define T1 R12
#define K R14

// The message schedule, 16 words of it at a time.
#define WT(i) w-64+((i)&15)*4(SP)
#define DATA data-68(SP)
#define END end-72(SP)

// ROUND expects the round's word in T0.
#define ROUND(a, b, c, d, e, f, g, h, ab, bc) \
	ADD	T0, h, h	\
	EOR	e@>5, e, T0	\
	MOVW.P	4(K), T1	\
	EOR	e@>19, T0, T0	\
	ADD	T1, h, h	\
	EOR	f, g, T1	\
	ADD	T0@>6, h, h	\
	AND	e, T1, T1	\
	EOR	a@>11, a, T0	\
	EOR	g, T1, T1	\
	EOR	a@>20, T0, T0	\
	ADD	T1, h, h	\
	EOR	a, b, ab	\
	ADD	h, d, d	\
	AND	ab, bc, bc	\
	ADD	T0@>2, h, h	\
	EOR	b, bc, bc	\
	ADD	bc, h, h

#define FIRST(i, a, b, c, d, e, f, g, h, ab, bc) \
	MOVW	WT(i), T0	\
	ROUND(a, b, c, d, e, f, g, h, ab, bc)

// LATER makes the word of 16 rounds later than the one that it replaces.
#define LATER(i, a, b, c, d, e, f, g, h, ab, bc) \
	MOVW	WT(i+1), T0	\
	MOVW	T0@>7, T1	\
	EOR	T0@>18, T1, T1	\
	EOR	T0>>3, T1, T1	\
	MOVW	WT(i+14), T0	\
	MOVW	T0@>17, ab	\
	EOR	T0@>19, ab, ab	\
	EOR	T0>>10, ab, ab	\
	MOVW	WT(i), T0	\
	ADD	ab, T1, T1	\
	MOVW	WT(i+9), ab	\
	ADD	T0, T1, T1	\
	ADD	ab, T1, T0	\
	MOVW	T0, WT(i)	\
	ROUND(a, b, c, d, e, f, g, h, ab, bc)

#define EIGHT(R, i) \
	R(i+0, A, B, C, D, E, F, G, H, X, Y)	\
	R(i+1, H, A, B, C, D, E, F, G, Y, X)	\
	R(i+2, G, H, A, B, C, D, E, F, X, Y)	\
	R(i+3, F, G, H, A, B, C, D, E, Y, X)	\
	R(i+4, E, F, G, H, A, B, C, D, X, Y)	\
	R(i+5, D, E, F, G, H, A, B, C, Y, X)	\
	R(i+6, C, D, E, F, G, H, A, B, X, Y)	\
	R(i+7, B, C, D, E, F, G, H, A, Y, X)

// EIGHTWORDS brings eight words of the data, at T0, to T1.
#define EIGHTWORDS \
	MOVW.P	4(T0), R0	\
	MOVW.P	4(T0), R1	\
	MOVW.P	4(T0), R2	\
	MOVW.P	4(T0), R3	\
	MOVW.P	4(T0), R4	\
	MOVW.P	4(T0), R5	\
	MOVW.P	4(T0), R6	\
	MOVW.P	4(T0), R7	\
	REV	R0, R0	\
	REV	R1, R1	\
	REV	R2, R2	\
	REV	R3, R3	\
	REV	R4, R4	\
	REV	R5, R5	\
	REV	R6, R6	\
	REV	R7, R7	\
	MOVM.IA.W	[R0-R7], (T1)

// func compressScalar(state *[8]uint32, data []byte)
TEXT ·compressScalar(SB), NOSPLIT, $72-16
	MOVW	data_base+4(FP), T0
	MOVW	data_len+8(FP), T1
	ADD	T0, T1, T1
	MOVW	T1, END

block:
	MOVW	$w-64(SP), T1
	EIGHTWORDS
	EIGHTWORDS
	MOVW	T0, DATA
	MOVW	state+0(FP), T0
	MOVW	$·constants(SB), K
	MOVM.IA	(T0), [R0-R7]
	EOR	B, C, Y

	EIGHT(FIRST, 0)
	EIGHT(FIRST, 8)

later:
	EIGHT(LATER, 0)
	EIGHT(LATER, 8)
	MOVW	$·constants+256(SB), T0
	CMP	T0, K
	BLO	later

	MOVW	state+0(FP), K
	MOVM.IA.W	(K), [R8, R9, R11, R12]
	ADD	R8, R0, R0
	ADD	R9, R1, R1
	ADD	R11, R2, R2
	ADD	R12, R3, R3
	MOVM.IA	(K), [R8, R9, R11, R12]
	ADD	R8, R4, R4
	ADD	R9, R5, R5
	ADD	R11, R6, R6
	ADD	R12, R7, R7
	SUB	$16, K, K
	MOVM.IA	[R0-R7], (K)

	MOVW	DATA, T0
	MOVW	END, T1
	CMP	T1, T0
	BLO	block
	RET
