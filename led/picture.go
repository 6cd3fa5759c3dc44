// SPDX-License-Identifier: GPL-3.0-or-later

package led

import (
	"fmt"
	"strings"
	"time"
)

// PictureTime is how much time the picture shows of each pattern.
const PictureTime = 6 * time.Second

// The picture's measures in its own units; 100 are one second.
const (
	pictureLeft   = 250 // where time begins
	pictureRow    = 58
	pictureTop    = 40
	pictureHeight = 26 // of the light
	pictureWidth  = pictureLeft + 100*int(PictureTime/time.Second) + 20
)

// row is one line of the picture.
type row struct {
	pattern Pattern
	title   string
	meaning string
}

// rows are what a technician may see, as in docs/technician.md.
var rows = []row{
	{Pattern{}, "off", "nothing plugged in, or done"},
	{Pattern{Kind: On}, "on", "at work"},
	{Pattern{Kind: Blink}, "even blinking", "installing: keep the power on"},
	{Pattern{Kind: Code, N: CodeUnreadable}, "2 flashes", "stick cannot be read"},
	{Pattern{Kind: Code, N: CodeKeyring}, "3 flashes", "keyring refused"},
	{Pattern{Kind: Code, N: CodeRefused}, "4 flashes", "script refused"},
	{Pattern{Kind: Code, N: CodeScript}, "5 flashes", "script failed"},
	{Pattern{Kind: Code, N: CodeImage}, "6 flashes", "image not installed"},
}

// bright returns when a pattern is bright in the first PictureTime: from and
// to, in turns.
func (p Pattern) bright() []time.Duration {
	switch rhythm := p.rhythm(); {
	case p.Kind == On:
		return []time.Duration{0, PictureTime}
	case rhythm != nil:
		var list []time.Duration
		for at, i := time.Duration(0), 0; at < PictureTime; i++ {
			next := at + rhythm[i%len(rhythm)]
			if i%2 == 0 {
				list = append(list, at, min(next, PictureTime))
			}
			at = next
		}
		return list
	}
	return nil
}

// Picture draws the LED table as an SVG: for each pattern a line of time,
// raised and yellow where the LED is bright, so that it can be read in a
// black and white print too.
func Picture() []byte {
	var b strings.Builder
	height := pictureTop + len(rows)*pictureRow + 10
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="sans-serif">`+"\n",
		pictureWidth, height, pictureWidth, height)
	b.WriteString("<title>What the yellow LED shows, over six seconds</title>\n")
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", pictureWidth, height)
	for second := range int(PictureTime/time.Second) + 1 {
		x := pictureLeft + 100*second
		fmt.Fprintf(&b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#ccc"/>`+"\n", x, pictureTop-10, x, height-10)
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-size="13" text-anchor="middle" fill="#555">%d s</text>`+"\n", x, pictureTop-16, second)
	}
	for i, r := range rows {
		r.draw(&b, pictureTop+i*pictureRow)
	}
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

func (r row) draw(b *strings.Builder, y int) {
	ground := y + pictureHeight + 8
	fmt.Fprintf(b, `<g id="%s">`+"\n", strings.ReplaceAll(r.pattern.String(), " ", "-"))
	fmt.Fprintf(b, `<text x="10" y="%d" font-size="17" font-weight="bold">%s</text>`+"\n", y+18, r.title)
	fmt.Fprintf(b, `<text x="10" y="%d" font-size="14">%s</text>`+"\n", y+37, r.meaning)
	fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#000"/>`+"\n", pictureLeft, ground, pictureWidth-20, ground)
	list := r.pattern.bright()
	for i := 0; i < len(list); i += 2 {
		fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="#ffc800" stroke="#000"/>`+"\n",
			pictureLeft+units(list[i]), ground-pictureHeight, units(list[i+1]-list[i]), pictureHeight)
	}
	b.WriteString("</g>\n")
}

func units(d time.Duration) int { return int(d / (10 * time.Millisecond)) }
