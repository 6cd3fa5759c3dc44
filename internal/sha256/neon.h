// SPDX-License-Identifier: GPL-3.0-or-later

// Instructions that Go's assembler has no names for, by the encodings of the ARM
// Architecture Reference Manual, ARMv7-A and ARMv7-R edition, A8.8. Registers
// are given as numbers: q of the quadword, d of the doubleword, r of the core
// registers. TestEncodings has each disassembled, with every register.

// The fields Vd, Vn and Vm of a doubleword register (A7.3), and those of a quadword
// register, which is two doublewords.
#define VD(d) (((d)&15)<<12 | ((d)>>4)<<22)
#define VN(d) (((d)&15)<<16 | ((d)>>4)<<7)
#define VM(d) (((d)&15) | ((d)>>4)<<5)
#define QD(q) (VD(2*(q)) | 1<<6)
#define QN(q) VN(2*(q))
#define QM(q) VM(2*(q))

// VADDQ: qd = qn + qm, four words; VADDD: two.
#define VADDQ(qd, qn, qm) WORD $(0xf2200800 | QD(qd) | QN(qn) | QM(qm))
#define VADDD(dd, dn, dm) WORD $(0xf2200800 | VD(dd) | VN(dn) | VM(dm))

// VEORQ, VEORD: exclusive or.
#define VEORQ(qd, qn, qm) WORD $(0xf3000110 | QD(qd) | QN(qn) | QM(qm))
#define VEORD(dd, dn, dm) WORD $(0xf3000110 | VD(dd) | VN(dn) | VM(dm))

// VSHRQ, VSHRD: each word shifted right by n (VSHR.U32).
#define VSHRQ(qd, qm, n) WORD $(0xf3800010 | (64-(n))<<16 | QD(qd) | QM(qm))
#define VSHRD(dd, dm, n) WORD $(0xf3800010 | (64-(n))<<16 | VD(dd) | VM(dm))

// VSLIQ, VSLID: each word of the source shifted left by n; the n lowest bits of
// the destination stay (VSLI.32).
#define VSLIQ(qd, qm, n) WORD $(0xf3800510 | (32+(n))<<16 | QD(qd) | QM(qm))
#define VSLID(dd, dm, n) WORD $(0xf3800510 | (32+(n))<<16 | VD(dd) | VM(dm))

// VEXTQ: the last three words of qn and the first one of qm (VEXT.8 with #4).
#define VEXTQ(qd, qn, qm) WORD $(0xf2b00400 | QD(qd) | QN(qn) | QM(qm))

// VREVQ: the bytes of each word the other way round (VREV32.8).
#define VREVQ(qd, qm) WORD $(0xf3b00080 | QD(qd) | QM(qm))

// VLD1: 32 bytes from r, which moves on, to four doublewords from dd on, at any
// address (VLD1.8).
#define VLD1(dd, r) WORD $(0xf420020d | (r)<<16 | VD(dd))

// VLDM: n doublewords from dd on from r, which moves on (VLDMIA r!); VSTM: to r,
// which stays.
#define VLDM(r, dd, n) WORD $(0xecb00b00 | (r)<<16 | VD(dd) | 2*(n))
#define VSTM(r, dd, n) WORD $(0xec800b00 | (r)<<16 | VD(dd) | 2*(n))

// LDRD: two words at offset bytes, below 256, from the stack pointer, to rt, which
// is even, and the register after it.
#define LDRD(rt, offset) WORD $(0xe1cd00d0 | (rt)<<12 | ((offset)>>4)<<8 | (offset)&15)
