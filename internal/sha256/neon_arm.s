// SPDX-License-Identifier: GPL-3.0-or-later

//go:build arm.7

#include "textflag.h"
#include "neon.h"

// SHA-256's compression of whole blocks (FIPS 180-4, 6.2.2) where the processor has
// NEON: four words of the message schedule are made at once, 16 rounds before they
// are needed, and the round's constant is added to them there. What is left of a
// round is the 16 instructions of scalar_arm.s that neither load nor add a constant,
// and half a load. Vector and plain instructions take turns, so that a processor
// that executes them in order has something to do while a result is on its way.
//
// All NEON registers are free here: Go keeps nothing in them over a call, and the
// kernel keeps them over a signal.

#define A R0
#define B R1
#define C R2
#define D R3
#define E R4
#define F R5
#define G R6
#define H R7
#define W0 R8	// the words of two rounds, which LDRD wants in an even register
#define W1 R9	// and the next; W0 is the temporary once it was added
#define X R11
#define Y R12
#define K R14

// The stack, from R13: 16 words of the schedule, each with its constant; where the
// data goes on, and where it ends.
#define WORDS 4
#define DATA data-8(SP)
#define END end-4(SP)

// ROUND takes word w in. Of AB and BC, which change places from round to round, AB
// is a temporary until a^b is needed.
#define ROUND(w, a, b, c, d, e, f, g, h, ab, bc) \
	ADD	w, h, h	\
	EOR	e@>5, e, W0	\
	EOR	f, g, ab	\
	EOR	e@>19, W0, W0	\
	AND	e, ab, ab	\
	ADD	W0@>6, h, h	\
	EOR	g, ab, ab	\
	EOR	a@>11, a, W0	\
	ADD	ab, h, h	\
	EOR	a@>20, W0, W0	\
	EOR	a, b, ab	\
	ADD	h, d, d	\
	AND	ab, bc, bc	\
	ADD	W0@>2, h, h	\
	EOR	b, bc, bc	\
	ADD	bc, h, h

// The schedule: q0 to q3 are the last 16 words, w0 the four oldest of them, which
// become the next four (FIPS 180-4, 6.2.2, step 1):
// Wt = s1(Wt-2) + Wt-7 + s0(Wt-15) + Wt-16, with
// s0(x) = ROTR7 ^ ROTR18 ^ SHR3 (4.6) and s1(x) = ROTR17 ^ ROTR19 ^ SHR10 (4.7). A
// rotation is a shift and an insertion of the bits that it lost.
//
// OLDER adds all but s1, in two parts: q15 is Wt-15, q14 at first Wt-7.
#define OLDER1(w0, w1, w2, w3) \
	VEXTQ(15, w0, w1)	\
	VEXTQ(14, w2, w3)	\
	VSHRQ(12, 15, 7)	\
	VADDQ(w0, w0, 14)	\
	VSHRQ(13, 15, 18)	\
	VSHRQ(14, 15, 3)	\
	VSLIQ(12, 15, 25)

#define OLDER2(w0) \
	VSLIQ(13, 15, 14)	\
	VEORQ(12, 12, 14)	\
	VEORQ(12, 12, 13)	\
	VADDQ(w0, w0, 12)

// NEWER adds s1 to two words, of which the other two need the result: to is the
// lower half of w0 and from the upper half of w3, then the other way round.
#define NEWER(to, from) \
	VSHRD(24, from, 17)	\
	VSHRD(25, from, 19)	\
	VSHRD(26, from, 10)	\
	VSLID(24, from, 15)	\
	VSLID(25, from, 13)	\
	VEORD(24, 24, 26)	\
	VEORD(24, 24, 25)	\
	VADDD(to, to, 24)

// FOUR is four rounds with the words at offset, and the next words in between.
#define FOUR(offset, w0, w1, w2, w3, a, b, c, d, e, f, g, h) \
	LDRD(8, WORDS+offset)	\
	OLDER1(w0, w1, w2, w3)	\
	ROUND(W0, a, b, c, d, e, f, g, h, X, Y)	\
	OLDER2(w0)	\
	ROUND(W1, h, a, b, c, d, e, f, g, Y, X)	\
	LDRD(8, WORDS+offset+8)	\
	NEWER(2*w0, 2*w3+1)	\
	ROUND(W0, g, h, a, b, c, d, e, f, X, Y)	\
	NEWER(2*w0+1, 2*w0)	\
	ROUND(W1, f, g, h, a, b, c, d, e, Y, X)

// LAST is four rounds without.
#define LAST(offset, a, b, c, d, e, f, g, h) \
	LDRD(8, WORDS+offset)	\
	ROUND(W0, a, b, c, d, e, f, g, h, X, Y)	\
	ROUND(W1, h, a, b, c, d, e, f, g, Y, X)	\
	LDRD(8, WORDS+offset+8)	\
	ROUND(W0, g, h, a, b, c, d, e, f, X, Y)	\
	ROUND(W1, f, g, h, a, b, c, d, e, Y, X)

// KEEP puts eight words, with their constants, where those were that have had
// their rounds.
#define KEEP(offset, w0, w1) \
	VLDM(14, 16, 4)	\
	ADD	$(WORDS+offset), R13, W0	\
	VADDQ(8, 8, w0)	\
	VADDQ(9, 9, w1)	\
	VSTM(8, 16, 4)

// func compressNEON(state *[8]uint32, data []byte)
TEXT ·compressNEON(SB), NOSPLIT, $72-16
	MOVW	data_base+4(FP), R8
	MOVW	data_len+8(FP), R9
	ADD	R8, R9, R9
	MOVW	R9, END

block:
	VLD1(0, 8)
	VLD1(4, 8)
	MOVW	$·constants(SB), K
	VREVQ(0, 0)
	VREVQ(1, 1)
	VREVQ(2, 2)
	VREVQ(3, 3)
	MOVW	R8, DATA
	KEEP(0, 0, 1)
	KEEP(32, 2, 3)
	MOVW	state+0(FP), R8
	MOVM.IA	(R8), [R0-R7]
	EOR	B, C, Y

rounds:
	FOUR(0, 0, 1, 2, 3, A, B, C, D, E, F, G, H)
	FOUR(16, 1, 2, 3, 0, E, F, G, H, A, B, C, D)
	KEEP(0, 0, 1)
	FOUR(32, 2, 3, 0, 1, A, B, C, D, E, F, G, H)
	FOUR(48, 3, 0, 1, 2, E, F, G, H, A, B, C, D)
	KEEP(32, 2, 3)
	MOVW	$·constants+256(SB), R8
	CMP	R8, K
	BNE	rounds

	LAST(0, A, B, C, D, E, F, G, H)
	LAST(16, E, F, G, H, A, B, C, D)
	LAST(32, A, B, C, D, E, F, G, H)
	LAST(48, E, F, G, H, A, B, C, D)

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

	MOVW	DATA, R8
	MOVW	END, R9
	CMP	R9, R8
	BLO	block
	RET
