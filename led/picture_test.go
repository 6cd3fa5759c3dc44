// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"encoding/xml"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const pictureFile = "../docs/led.svg"

// committed is the picture in docs/; UPDATE_PICTURE=1 makes it anew.
func committed(t *testing.T) []byte {
	t.Helper()
	if os.Getenv("UPDATE_PICTURE") != "" {
		if err := os.WriteFile(pictureFile, Picture(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(pictureFile)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestPictureIsTheCommittedOne(t *testing.T) {
	if string(committed(t)) != string(Picture()) {
		t.Error("docs/led.svg is not what led.Picture draws: UPDATE_PICTURE=1 go test ./led")
	}
}

// drawn reads the picture: when each pattern is bright, by its name.
func drawn(t *testing.T) map[string][]call {
	t.Helper()
	var svg struct {
		Groups []struct {
			ID    string `xml:"id,attr"`
			Rects []struct {
				X     int `xml:"x,attr"`
				Width int `xml:"width,attr"`
			} `xml:"rect"`
		} `xml:"g"`
	}
	if err := xml.Unmarshal(committed(t), &svg); err != nil {
		t.Fatal(err)
	}
	lights := make(map[string][]call)
	for _, g := range svg.Groups {
		list := []call{}
		for _, r := range g.Rects {
			from := time.Duration(r.X-pictureLeft) * 10 * ms
			list = append(list, call{from, "bright"}, call{from + time.Duration(r.Width)*10*ms, "dark"})
		}
		lights[strings.ReplaceAll(g.ID, "-", " ")] = list
	}
	return lights
}

// TestPictureAgreesWithTheLED compares what is drawn with what a real LED is
// told to do in those six seconds.
func TestPictureAgreesWithTheLED(t *testing.T) {
	lights := drawn(t)
	if len(lights) != 8 {
		t.Fatalf("%d patterns are drawn", len(lights))
	}
	for _, p := range []Pattern{{Kind: On}, {Kind: Blink}, {Kind: Code, N: 2}, {Kind: Code, N: 3}, {Kind: Code, N: 4}, {Kind: Code, N: 5}, {Kind: Code, N: 6}, {}} {
		synctest.Test(t, func(t *testing.T) {
			r := newRecorder()
			l := start(r, nil, nil, false)
			l.Show(p)
			time.Sleep(PictureTime - ms)
			got := light(r.taken())
			closeLED(t, l)
			if len(got) > 0 && got[len(got)-1].what == "bright" { // goes on beyond the picture
				got = append(got, call{PictureTime, "dark"})
			}
			got = slices.DeleteFunc(got, func(c call) bool { return c.at == 0 && c.what == "dark" })
			want, ok := lights[p.String()]
			if !ok || !slices.Equal(got, want) {
				t.Errorf("%s: the LED does %v, the picture shows %v", p, got, want)
			}
		})
	}
}

// TestTechnicianKnowsEveryCode: the page has the picture, each number of
// flashes, and nothing to type.
func TestTechnicianKnowsEveryCode(t *testing.T) {
	text, err := os.ReadFile("../docs/technician.md")
	if err != nil {
		t.Fatal(err)
	}
	page := string(text)
	if !strings.Contains(page, "(led.svg)") {
		t.Error("the picture is missing")
	}
	for _, r := range rows {
		if !strings.Contains(page, "| **"+r.title+"**") {
			t.Errorf("no row for %q", r.title)
		}
	}
	for n := 2; n <= CodeImage; n++ {
		if !strings.Contains(page, strconv.Itoa(n)+" flashes") {
			t.Errorf("nothing about %d flashes", n)
		}
	}
	for _, typed := range []string{"`", "usbagent ", "sudo", "ssh", "journalctl", "    "} {
		if strings.Contains(page, typed) {
			t.Errorf("something to type: %q", typed)
		}
	}
	if lines := strings.Count(page, "\n"); lines > 60 {
		t.Errorf("%d lines are more than a page", lines)
	}
}
