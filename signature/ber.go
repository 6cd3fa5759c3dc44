// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import "fmt"

// frameDepth is how deep indefinite lengths are accepted: the content info, its
// wrapper, the SignedData, and that one's lists. What is signed, certificates,
// signers and all below, must be DER.
const frameDepth = 3

// definite rewrites the frame of a message with definite lengths. gpgsm, Bouncy
// Castle and others write the frame with indefinite ones (BER), and DER below.
// The frame carries no meaning beyond its structure, so a reader of BER and one
// of the rewritten message see the same. What it returns still has to pass
// walkDER. Each byte is looked at once for each level of the frame at most.
func definite(b []byte) ([]byte, error) {
	out, n, changed, err := rewrite(b, 0, 0)
	if err != nil || !changed {
		return b, err
	}
	return append(out, b[n:]...), nil
}

// rewrite returns the element at the start of b with definite lengths in the
// frame, its length in b, and whether anything changed. b lies at offset at of
// the message.
func rewrite(b []byte, at, depth int) (out []byte, n int, changed bool, err error) {
	if len(b) >= 2 && b[1] == 0x80 && b[0]&0x20 != 0 && depth <= frameDepth {
		body, n, err := rewriteUntilEnd(b[2:], at+2, depth+1)
		if err != nil {
			return nil, 0, false, err
		}
		return appendElement(nil, b[0], body), 2 + n, true, nil
	}
	head, length, err := readHeader(b, at)
	if err != nil {
		return nil, 0, false, err
	}
	n = head + length
	if depth >= frameDepth || b[0]&0x20 == 0 {
		return b[:n], n, false, nil
	}
	var body []byte
	for done := 0; done < length; {
		child, m, c, err := rewrite(b[head+done:n], at+head+done, depth+1)
		if err != nil {
			return nil, 0, false, err
		}
		body, changed, done = append(body, child...), changed || c, done+m
	}
	if !changed {
		return b[:n], n, false, nil
	}
	return appendElement(nil, b[0], body), n, true, nil
}

// rewriteUntilEnd rewrites the elements of b up to the end-of-contents mark.
func rewriteUntilEnd(b []byte, at, depth int) (body []byte, n int, err error) {
	for {
		if len(b)-n < 2 {
			return nil, 0, fail(NotDER, fmt.Sprintf("cut off at byte %d", at+n))
		}
		if b[n] == 0 && b[n+1] == 0 {
			return body, n + 2, nil
		}
		child, m, _, err := rewrite(b[n:], at+n, depth)
		if err != nil {
			return nil, 0, err
		}
		body, n = append(body, child...), n+m
	}
}

// appendElement appends an element with a length in its shortest form.
func appendElement(out []byte, tag byte, body []byte) []byte {
	out = append(out, tag)
	switch n := len(body); {
	case n < 0x80:
		out = append(out, byte(n))
	case n < 0x100:
		out = append(out, 0x81, byte(n))
	case n < 0x10000:
		out = append(out, 0x82, byte(n>>8), byte(n))
	default:
		out = append(out, 0x83, byte(n>>16), byte(n>>8), byte(n))
	}
	return append(out, body...)
}
