// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"math/big"
	"slices"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The DER editing of the corpus: every function returns one whole element, so
// that a case can put anything anywhere.

func tlv(tag byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	head := []byte{tag}
	switch n := len(body); {
	case n < 0x80:
		head = append(head, byte(n))
	case n < 0x100:
		head = append(head, 0x81, byte(n))
	case n < 0x10000:
		head = append(head, 0x82, byte(n>>8), byte(n))
	default:
		head = append(head, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(head, body...)
}

func seq(parts ...[]byte) []byte { return tlv(0x30, parts...) }
func octets(b []byte) []byte     { return tlv(0x04, b) }
func bitString(b []byte) []byte  { return tlv(0x03, []byte{0}, b) }
func utf8String(s string) []byte { return tlv(0x0c, []byte(s)) }
func printable(s string) []byte  { return tlv(0x13, []byte(s)) }
func ia5(s string) []byte        { return tlv(0x16, []byte(s)) }
func oidElement(o string) []byte { return tlv(0x06, []byte(o)) }
func null() []byte               { return []byte{5, 0} }
func boolean(v bool) []byte {
	if v {
		return []byte{1, 1, 0xff}
	}
	return []byte{1, 1, 0}
}

// ctx is [n] constructed, ctxPrim is [n] primitive.
func ctx(n byte, parts ...[]byte) []byte { return tlv(0xa0|n, parts...) }
func ctxPrim(n byte, b []byte) []byte    { return tlv(0x80|n, b) }

// set sorts its elements, rawSet does not.
func set(parts ...[]byte) []byte {
	sortedParts := slices.Clone(parts)
	slices.SortFunc(sortedParts, bytes.Compare)
	return tlv(0x31, sortedParts...)
}
func rawSet(parts ...[]byte) []byte { return tlv(0x31, parts...) }

func integer(n int64) []byte {
	var b cryptobyte.Builder
	b.AddASN1BigInt(big.NewInt(n))
	return b.BytesOrPanic()
}

// children splits a constructed element into its children.
func children(der []byte) [][]byte {
	s := cryptobyte.String(der)
	var body cryptobyte.String
	var tag cbasn1.Tag
	if !s.ReadAnyASN1(&body, &tag) {
		panic("children of a broken element")
	}
	var list [][]byte
	for !body.Empty() {
		e, ok := readAny(&body)
		if !ok {
			panic("a broken child")
		}
		list = append(list, e)
	}
	return list
}

// rebuild replaces the element at path (child numbers) of der by what edit
// returns for it.
func rebuild(der []byte, edit func([]byte) []byte, path ...int) []byte {
	if len(path) == 0 {
		return edit(der)
	}
	parts := children(der)
	parts[path[0]] = rebuild(parts[path[0]], edit, path[1:]...)
	return tlv(der[0], parts...)
}

// at returns the element at path.
func at(der []byte, path ...int) []byte {
	for _, i := range path {
		der = children(der)[i]
	}
	return der
}

// insert puts e among the children of the element at path, before number i.
func insert(der []byte, e []byte, i int, path ...int) []byte {
	return rebuild(der, func(p []byte) []byte { return tlv(p[0], slices.Insert(children(p), i, e)...) }, path...)
}

// remove takes child i of the element at path away.
func remove(der []byte, i int, path ...int) []byte {
	return rebuild(der, func(p []byte) []byte { return tlv(p[0], slices.Delete(children(p), i, i+1)...) }, path...)
}

// replace puts e in the place of the element at path.
func replace(der []byte, e []byte, path ...int) []byte {
	return rebuild(der, func([]byte) []byte { return e }, path...)
}
