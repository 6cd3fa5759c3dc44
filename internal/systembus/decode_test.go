// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import (
	"encoding/binary"
	"strings"
	"testing"
)

// le is numbers of 32 bits and texts, one after the other.
func le(parts ...any) string {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case int:
			b = binary.LittleEndian.AppendUint32(b, uint32(p))
		case string:
			b = append(b, p...)
		}
	}
	return string(b)
}

// nested is a variant in n variants.
func nested(n int) string { return strings.Repeat("\x01v\x00", n) + "\x01y\x00\x07" }

// TestDecodeRefused: each thing that is wrong is named.
func TestDecodeRefused(t *testing.T) {
	for name, c := range map[string]struct{ types, body, want string }{
		"nothing":                   {"u", "", "end before 4 more bytes at byte 0 of 0"},
		"half a number":             {"u", "\x01\x02", "end before 4 more bytes"},
		"half a long one":           {"t", le(1), "end before 8 more bytes"},
		"half a short one":          {"q", "\x01", "end before 2 more bytes"},
		"boolean":                   {"b", le(2), "boolean is 2"},
		"string beyond the end":     {"s", le(5, "abcd"), "string of 5 bytes is longer than the message"},
		"huge string":               {"s", le(-1, "abcd"), "string of 4294967295 bytes is longer"},
		"string without end":        {"s", le(4, "abcd"), "end before 1 more bytes"},
		"string with another end":   {"s", le(4, "abcdx"), "string does not end with a zero byte"},
		"zero byte":                 {"s", le(4, "ab\x00d\x00"), "string has a zero byte in it"},
		"not UTF-8":                 {"s", le(4, "ab\xffd\x00"), "string is not UTF-8"},
		"surrogate":                 {"s", le(3, "\xed\xa0\x80\x00"), "string is not UTF-8"},
		"no path":                   {"o", le(0, "\x00"), `object path "" is none`},
		"relative path":             {"o", le(1, "a\x00"), `object path "a" is none`},
		"path with a slash":         {"o", le(3, "/a/\x00"), `object path "/a/" is none`},
		"path with two":             {"o", le(3, "//a\x00"), `object path "//a" is none`},
		"path with a dot":           {"o", le(4, "/a.b\x00"), `object path "/a.b" is none`},
		"signature without end":     {"g", "\x02as", "end before 1 more bytes"},
		"signature of nothing":      {"g", "\x01z\x00", "signature has a type that there is not"},
		"array beyond the end":      {"au", le(8, 1), "array of 8 bytes is longer than the message"},
		"array in a value":          {"au", le(6, 1, "\x02\x00"), "end before 4 more bytes"},
		"array with half a value":   {"(auu)", le(6, 1, 2), "array should have ended at byte 10"},
		"dictionary of half":        {"a{sv}", le(5, 0, 1, "k\x00"), "end before 1 more bytes"},
		"dictionary beyond":         {"(a{sv}u)", le(9, 0, 1, "k\x00\x01y\x00\x07", 5), "array should have ended at byte 17"},
		"padding":                   {"yu", "\x01\x00\x01\x00" + le(5), "padding is not zero"},
		"padding of an empty array": {"at", le(0, 1), "padding is not zero"},
		"variant without a type":    {"v", "\x00\x00", "has not one value"},
		"variant of two":            {"v", "\x02yy\x00\x01\x02", "has not one value"},
		"variant of nonsense":       {"v", "\x01!\x00\x01", "signature has a type that there is not"},
		"left over":                 {"y", "\x01\x02", `values of type "y" end at byte 1 of 2`},
		"no types":                  {"", "\x01", `values of type "" end at byte 0 of 1`},
		"too deep":                  {"v", nested(MaxDepth), "more than 64 values in one another"},
		"much too deep":             {"v", nested(1 << 16), "more than 64 values in one another"},
	} {
		m := message{types: Signature(c.types), body: []byte(c.body)}
		if values, err := m.values(); err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "read a D-Bus message: ") {
			t.Errorf("%s: %v, %v; want %q", name, values, err, c.want)
		}
	}
	m := message{types: "v", body: []byte(nested(MaxDepth - 1))}
	if values, err := m.values(); err != nil || values[0] != byte(7) {
		t.Errorf("at the limit: %v, %v", values, err)
	}
}

func TestSignature(t *testing.T) {
	deep := strings.Repeat("a", MaxNesting)
	structs := strings.Repeat("(", MaxNesting) + "y" + strings.Repeat(")", MaxNesting)
	for text, want := range map[string]error{
		"": nil, "ybnqiuxtdsoghv": nil, "a(sa{sv}a{o(ss)}as)": nil, "aaay(y(y))": nil, "a{s(a{sv})}": nil,
		deep + "y": nil, structs: nil, deep + structs: nil, strings.Repeat("y", MaxSignature): nil,
		strings.Repeat("y", MaxSignature+1): errSignatureLong,
		deep + "ay":                         errSignatureDeep, "(" + structs + ")": errSignatureDeep, strings.Repeat("a{s", 33) + "y" + strings.Repeat("}", 33): errSignatureDeep,
		"z": errSignatureType, ")": errSignatureType, "{sv}": errSignatureType, "a!": errSignatureType, "m": errSignatureType, "\x00": errSignatureType,
		"(": errSignatureStruct, "()": errSignatureStruct, "(y": errSignatureStruct, "(ya": errSignatureArray,
		"a": errSignatureArray, "ya": errSignatureArray,
		"a{": errSignatureDict, "a{}": errSignatureDict, "a{s}": errSignatureType, "a{vs}": errSignatureDict, "a{sss}": errSignatureDict, "a{(s)s}": errSignatureDict, "a{sv": errSignatureDict,
	} {
		if err := Signature(text).check(); err != want {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

func TestCutType(t *testing.T) {
	for text, want := range map[string]string{"ss": "s", "aay": "aay", "a{sv}u": "a{sv}", "(s(ii)as)v": "(s(ii)as)", "a(sv)a{ss}": "a(sv)"} {
		if one, rest := cutType(text); one != want || one+rest != text {
			t.Errorf("%q: %q and %q", text, one, rest)
		}
	}
}

// TestEncodeRefused: what cannot be sent is an error that names it, and nothing
// is sent.
func TestEncodeRefused(t *testing.T) {
	for name, c := range map[string]struct {
		call Call
		want string
	}{
		"not UTF-8":       {Call{Method: "i.M", Args: []any{"\xff"}}, "is no D-Bus string"},
		"zero byte":       {Call{Method: "i.M", Args: []any{"a\x00"}}, "is no D-Bus string"},
		"key":             {Call{Method: "i.M", Args: []any{map[string]any{"\xff": 1}}}, "is no D-Bus string"},
		"path":            {Call{Method: "i.M", Args: []any{ObjectPath("x")}}, `"x" is no D-Bus object path`},
		"signature":       {Call{Method: "i.M", Args: []any{Signature("a")}}, "signature has an array of nothing"},
		"type":            {Call{Method: "i.M", Args: []any{5}}, "a int cannot be sent"},
		"type in variant": {Call{Method: "i.M", Args: []any{Variant{5}}}, "a int cannot be sent"},
		"nil":             {Call{Method: "i.M", Args: []any{nil}}, "a <nil> cannot be sent"},
		"element":         {Call{Method: "i.M", Args: []any{Array{"s", []any{uint32(1)}}}}, `array of "s" has an element of type "u"`},
		"no element":      {Call{Method: "i.M", Args: []any{Array{"", nil}, "s"}}, `array of "", which is not one type`},
		"two elements":    {Call{Method: "i.M", Args: []any{Array{"su", nil}}}, `array of "su", which is not one type`},
		"too long":        {Call{Method: "i.M", Args: []any{strings.Repeat("x", MaxMessage)}}, "is longer than 1048576"},
		"no interface":    {Call{Method: "M"}, "no interface"},
		"object":          {Call{Method: "i.M", Object: Object{"x", ""}}, "is no D-Bus object path"},
	} {
		if c.call.Object.Path == "" && name != "object" {
			c.call.Object = Object{"a.name", "/"}
		}
		if b, err := appendCall(nil, &c.call); err == nil || b != nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "call "+c.call.Method+": ") {
			t.Errorf("%s: %d bytes, %v; want %q", name, len(b), err, c.want)
		}
	}
}

func TestStore(t *testing.T) {
	var text string
	var flag bool
	var signed int32
	var number uint32
	var path ObjectPath
	var list []any
	var dict map[string]any
	var whatever any
	values := []any{"s", true, int32(-1), uint32(2), ObjectPath("/"), []any{}, map[string]any{}, uint64(9)}
	if err := Store(values, &text, &flag, &signed, &number, &path, &list, &dict, &whatever); err != nil ||
		text != "s" || !flag || signed != -1 || number != 2 || path != "/" || list == nil || dict == nil || whatever != uint64(9) {
		t.Error(err, text, flag, signed, number, path, list, dict, whatever)
	}
	for want, err := range map[string]error{
		"1 values, want 0":                                Store([]any{"s"}),
		"0 values, want 1":                                Store(nil, &text),
		"value 1 is a uint32, want it for a *string":      Store([]any{uint32(1)}, &text),
		"value 2 is a string, want it for a *uint32":      Store([]any{"s", "t"}, &text, &number),
		"value 1 is a systembus.Struct, want it for a *[": Store([]any{Struct{}}, &list),
		"value 1 is a string, want it for a *int":         Store([]any{"s"}, new(int)),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
