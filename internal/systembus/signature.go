// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import (
	"errors"
	"strings"
)

// Limits of a signature (specification, "Valid Signatures").
const (
	// MaxSignature is its greatest length, in bytes.
	MaxSignature = 255
	// MaxNesting is how many arrays, and how many structures, may be in one another.
	MaxNesting = 32
)

// Errors of signatures.
var (
	errSignatureLong   = errors.New("signature is longer than 255 bytes")
	errSignatureDeep   = errors.New("signature has more than 32 arrays or structures in one another")
	errSignatureType   = errors.New("signature has a type that there is not")
	errSignatureStruct = errors.New("signature has a structure without end or content")
	errSignatureArray  = errors.New("signature has an array of nothing")
	errSignatureDict   = errors.New("signature has a dictionary that is none")
)

const basicTypes = "ybnqiuxtdsogh"

// check reports what is wrong with s.
func (s Signature) check() error {
	if len(s) > MaxSignature {
		return errSignatureLong
	}
	rest := string(s)
	for rest != "" {
		var err error
		if rest, err = checkOne(rest, 0, 0); err != nil {
			return err
		}
	}
	return nil
}

// checkOne checks the complete type that s begins with, in so many arrays and
// structures, and returns what follows it.
func checkOne(s string, arrays, structs int) (rest string, err error) {
	if arrays > MaxNesting || structs > MaxNesting {
		return "", errSignatureDeep
	}
	switch {
	case s == "":
		return "", errSignatureArray
	case s[0] == 'v' || strings.IndexByte(basicTypes, s[0]) >= 0:
		return s[1:], nil
	case s[0] == '(':
		return checkStruct(s[1:], arrays, structs+1)
	case s[0] == 'a' && strings.HasPrefix(s[1:], "{"):
		return checkDict(s[2:], arrays+1, structs+1)
	case s[0] == 'a':
		return checkOne(s[1:], arrays+1, structs)
	}
	return "", errSignatureType
}

// checkStruct checks what follows the parenthesis.
func checkStruct(s string, arrays, structs int) (rest string, err error) {
	for first := true; ; first = false {
		if s == "" || first && s[0] == ')' {
			return "", errSignatureStruct
		}
		if s[0] == ')' {
			return s[1:], nil
		}
		if s, err = checkOne(s, arrays, structs); err != nil {
			return "", err
		}
	}
}

// checkDict checks what follows the brace: a basic type and another one.
func checkDict(s string, arrays, structs int) (rest string, err error) {
	if s == "" || strings.IndexByte(basicTypes, s[0]) < 0 {
		return "", errSignatureDict
	}
	if rest, err = checkOne(s[1:], arrays, structs); err != nil {
		return "", err
	}
	if !strings.HasPrefix(rest, "}") {
		return "", errSignatureDict
	}
	return rest[1:], nil
}

// cutType cuts the first complete type off a signature that was checked.
func cutType(s string) (one, rest string) {
	n := 0
	for s[n] == 'a' {
		n++
	}
	open := 0
	for {
		switch s[n] {
		case '(', '{':
			open++
		case ')', '}':
			open--
		}
		n++
		if open == 0 {
			return s[:n], s[n:]
		}
	}
}

// alignment of values whose type begins with c (specification, "Marshaling").
func alignment(c byte) int {
	switch c {
	case 'n', 'q':
		return 2
	case 'b', 'i', 'u', 's', 'o', 'a', 'h':
		return 4
	case 'x', 't', 'd', '(', '{':
		return 8
	}
	return 1 // y, g, v
}

// valid reports whether p is after the specification, "Valid Object Paths".
func (p ObjectPath) valid() bool {
	if p == "/" {
		return true
	}
	if p == "" || p[0] != '/' {
		return false
	}
	for i := 1; i <= len(p); i++ {
		switch {
		case i == len(p) || p[i] == '/':
			if p[i-1] == '/' {
				return false
			}
		case !isLetter(p[i]) && (p[i] < '0' || p[i] > '9'):
			return false
		}
	}
	return true
}

func isLetter(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
}
