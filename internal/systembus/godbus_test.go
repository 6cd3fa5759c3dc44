// SPDX-License-Identifier: GPL-3.0-or-later

package systembus

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"testing"

	"github.com/godbus/dbus/v5"
)

// plain is a value of godbus in our types.
func plain(v any) any {
	switch v := v.(type) {
	case dbus.Variant:
		return plain(v.Value())
	case dbus.ObjectPath:
		return ObjectPath(v)
	case dbus.Signature:
		return Signature(v.String())
	case dbus.UnixFDIndex:
		return uint32(v)
	case []byte:
		return v
	case []any: // a structure
		return Struct(plains(v))
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Slice:
		list := []any{}
		for i := range r.Len() {
			list = append(list, plain(r.Index(i).Interface()))
		}
		return list
	case reflect.Map:
		m := map[string]any{}
		for _, key := range r.MapKeys() {
			m[fmt.Sprint(key.Interface())] = plain(r.MapIndex(key).Interface())
		}
		return m
	}
	return v
}

func plains(list []any) (all []any) {
	for _, v := range list {
		all = append(all, plain(v))
	}
	return all
}

// encoded is a message of godbus, with these values.
func encoded(t testing.TB, order binary.ByteOrder, values ...any) []byte {
	t.Helper()
	m := &dbus.Message{Type: dbus.TypeSignal, Body: values, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/a/path")), dbus.FieldInterface: dbus.MakeVariant("an.interface"),
		dbus.FieldMember: dbus.MakeVariant("Member"), dbus.FieldSender: dbus.MakeVariant(":1.7"),
	}}
	if len(values) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(values...))
	}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, order); err != nil {
		t.Fatal(err)
	}
	text := b.Bytes()
	order.PutUint32(text[8:], 9) // a serial, which godbus gives when it sends
	return text
}

// decoded reads one message, whole.
func decoded(b []byte) (*message, []any, error) {
	in := bufio.NewReader(bytes.NewReader(b))
	m, err := readMessage(in)
	if err != nil {
		return nil, nil, err
	}
	values, err := m.values()
	if err == nil && in.Buffered() > 0 {
		err = fmt.Errorf("%d bytes were not read", in.Buffered())
	}
	return m, values, err
}

// samples are values as godbus has them.
var samples = [][]any{
	nil,
	{"text", "", "Gr\u00f6\u00dfe \u20ac \U0001f511"},
	{byte(7), true, false, int16(-2), uint16(65535), int32(-70000), uint32(1 << 31), int64(-1 << 40), uint64(math.MaxUint64), 1.5, math.Inf(-1)},
	{dbus.ObjectPath("/"), dbus.ObjectPath("/org/freedesktop/systemd1/unit/x_2eservice"), dbus.ParseSignatureMust("a{sv}(ii)")},
	{[]byte("bytes"), []byte{}, []string{"a", "bc", ""}, []uint32{1, 2}, []uint64{3}, []string{}, []uint64{}},
	{byte(1), []uint64{5}, byte(2), []dbus.ObjectPath{"/x"}},
	{dbus.MakeVariant("in a variant"), dbus.MakeVariant(dbus.MakeVariant(uint32(5))), []dbus.Variant{dbus.MakeVariant(true), dbus.MakeVariant([]string{"x"})}},
	{map[string]dbus.Variant{"a": dbus.MakeVariant("b"), "n": dbus.MakeVariant(uint64(7)), "": dbus.MakeVariant(map[string]dbus.Variant{})}},
	{map[string]string{"k": "v"}, map[dbus.ObjectPath]int32{"/p": -1}, map[string]map[string]dbus.Variant{"i": {"p": dbus.MakeVariant(int32(1))}}},
	{struct { // a RAUC Progress
		Percent int32
		Message string
		Depth   int32
	}{50, "half", 1}, []struct {
		Name   string
		Status map[string]dbus.Variant
	}{{"rootfs.0", map[string]dbus.Variant{"size": dbus.MakeVariant(uint64(1)), "state": dbus.MakeVariant("booted")}}, {"rootfs.1", nil}}},
}

// TestReadsGodbus: what godbus writes is read as it was meant, in both byte orders.
func TestReadsGodbus(t *testing.T) {
	for i, values := range samples {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			m, got, err := decoded(encoded(t, order, values...))
			if err != nil {
				t.Errorf("sample %d, %v: %v", i, order, err)
				continue
			}
			if m.kind != kindSignal || m.path != "/a/path" || m.iface != "an.interface" || m.member != "Member" || m.sender != ":1.7" {
				t.Errorf("sample %d, %v: %+v", i, order, m)
			}
			if want := plains(values); !reflect.DeepEqual(normal(got), normal(want)) {
				t.Errorf("sample %d, %v:\n%#v, want\n%#v", i, order, got, want)
			}
		}
	}
}

// normal makes Go structures, which godbus takes for D-Bus ones, such.
func normal(v any) any {
	switch v := v.(type) {
	case []any:
		list := []any{}
		for _, x := range v {
			list = append(list, normal(x))
		}
		return list
	case Struct:
		return Struct(normal([]any(v)).([]any))
	case map[string]any:
		m := map[string]any{}
		for key, x := range v {
			m[key] = normal(x)
		}
		return m
	}
	if r := reflect.ValueOf(v); r.Kind() == reflect.Struct {
		s := Struct{}
		for i := range r.NumField() {
			s = append(s, normal(plain(r.Field(i).Interface())))
		}
		return s
	}
	return v
}

// TestGodbusReads: what we send is read by godbus as it was meant.
func TestGodbusReads(t *testing.T) {
	property := func(name string, value any) Struct { return Struct{name, Variant{value}} }
	args := []any{
		"text", true, false, int32(-5), uint32(6), uint64(1 << 60), ObjectPath("/p/q"), Signature("as"), []string{"one", ""}, []uint32{7, 8}, []string{},
		map[string]any{"a": "b", "n": uint32(3), "m": map[string]any{"x": true}}, map[string]any{},
		Array{"(sv)", []any{property("Nice", int32(-10)), property("After", []string{"x.service"}),
			property("ExecStart", Array{"(sasb)", []any{Struct{"/bin/x", []string{"x", "y"}, false}}})}},
		Array{"(sa(sv))", nil}, Variant{"v"}, Struct{byteless(1), "s"},
	}
	call := &Call{Object: Object{":1.5", "/obj"}, Method: "an.interface.Member", Args: args, NoAutoStart: true, serial: 77}
	out, err := appendCall([]byte("something before"), call)
	if err != nil {
		t.Fatal(err)
	}
	m, err := dbus.DecodeMessage(bytes.NewReader(out[len("something before"):]))
	if err != nil {
		t.Fatal(err)
	}
	if m.Type != dbus.TypeMethodCall || m.Flags != dbus.FlagNoAutoStart || m.Serial() != 77 || m.Headers[dbus.FieldDestination].Value() != ":1.5" ||
		m.Headers[dbus.FieldPath].Value() != dbus.ObjectPath("/obj") || m.Headers[dbus.FieldInterface].Value() != "an.interface" ||
		m.Headers[dbus.FieldMember].Value() != "Member" || m.Headers[dbus.FieldSignature].Value().(dbus.Signature).String() != string(typesOf(args)) {
		t.Errorf("%+v", m)
	}
	want := []any{
		"text", true, false, int32(-5), uint32(6), uint64(1 << 60), ObjectPath("/p/q"), Signature("as"), []any{"one", ""}, []any{uint32(7), uint32(8)}, []any{},
		map[string]any{"a": "b", "n": uint32(3), "m": map[string]any{"x": true}}, map[string]any{},
		[]any{Struct{"Nice", int32(-10)}, Struct{"After", []any{"x.service"}}, Struct{"ExecStart", []any{Struct{"/bin/x", []any{"x", "y"}, false}}}},
		[]any{}, "v", Struct{uint32(1), "s"},
	}
	// godbus has arrays of structures as [][]any.
	for i, got := range m.Body {
		if got := plain(got); fmt.Sprint(got) != fmt.Sprint(want[i]) {
			t.Errorf("value %d: %v, want %v", i, got, want[i])
		}
	}
	_, ours, err := decoded(out[len("something before"):])
	if err != nil || !reflect.DeepEqual(ours, want) {
		t.Errorf("read by ourselves: %#v, %v", ours, err)
	}
}

// byteless is there since no byte is ever sent.
func byteless(n uint32) uint32 { return n }
