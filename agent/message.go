// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import "strings"

// Message is one line of the log that programs may look for.
type Message struct {
	ID   string // MESSAGE_ID, 128 bits in hex; never changes, whatever becomes of the text
	Text string // as it is logged; one that ends in ": " goes on with something variable
}

// Messages are all lines that the agent logs, by what they are about; what they
// mean is in docs/journal.md. A new line gets an ID of its own (systemd-id128
// new); the ID of a line that is no longer logged is not used again.
var Messages = []Message{
	// The life of a stick
	{"9cb497e036edd8f97869c5e30acde393", "stick found"},
	{"844daf608b56b944a5801a14befdfec9", "stick left before it was looked at"},
	{"e88be11b08dc76a683193e9768cb8783", "mounted with a warning"},
	{"19132fa0b5d68770435b9fc13f672b11", "not mounted"},
	{"feccc2b19f8fe72fd6a562f5c85f6c4b", "step done"},
	{"57ebc8462716b50c3dea7f253f4ef68a", "step skipped"},
	{"4102e84d29bde9cf2cc01bf99eb2f750", "step refused"},
	{"4984df21d0468cad58243365a1161dcd", "step failed"},
	{"52085a78468c85c7ae65866058adbbc2", "signature is good"},
	{"79611065ca118f7472cfb5603b64b8aa", "stick finished, it may be pulled"},
	{"f738e6df91d74f8441de1f4c06394fc6", "stick finished, it had been pulled"},
	{"ff4df32e0f9c9d4f6c0aad4ffc63dfd9", "stick pulled"},
	{"6357d6c61562a6cd234c20343216a51a", "stick pulled, its further steps are dropped"},
	{"ee5610e9837e41fbde2a86e32bd2d8b8", "stick was handled before in this boot, nothing is done again"},
	{"dc6fb0b0086183074d7404d63aded519", "the medium was taken out"},
	{"fb0c24194ac1b787175e35629f538284", "stick of an earlier run was pulled meanwhile"},
	{"6396a8d1d337017f9893e25cf927365d", "mount could not be undone"},
	{"0f6e73d7603fcdbd5c06efc5ce10fa82", "the stick may be left writable"},
	// Scripts
	{"bde707725b6f847cdaf623410c06b535", "script started"},
	{"25d000c1e341107c7db10dc72e8d4842", "file of the script is copied"},
	{"630ee3d8e92f86905b88ea152d372053", "script of an earlier run taken over"},
	{"7983156cf5234dacbe886912189cd395", "script of an earlier run ended"},
	{"c286a7e598049f9c8646a99fc2dd9f35", "how the script of an earlier run ended is unknown"},
	{"256f1656eac9748a4a0ac1e731f4565d", "whether a script of an earlier run still runs cannot be known"},
	{"18302af935715508c5fd7e26a68878b9", "script's unit could not be cleaned up"},
	{"4f671fcf4394424791f35931c720f9f9", "a unit for the next script could not be prepared"},
	{"e07607aca486613cb1565ce6c864e1b1", "the script's last lines are not in the receipt"},
	{"5ee5db7bf7e6f444097cdd9ace62f167", "the system is going down, nothing more is started"},
	{"a6fb37d1e0dd15d6d68fdbdaf90c4f30", "the boot does not finish, the work goes on all the same"},
	// Images
	{"1e405b7d5d3605d51dfdeaec2acbb4fc", "image handed to the installer"},
	{"a15bb5e64c82d0e9efa04c1deb420ab8", "the installer reads the image from the stick"},
	{"8d69ce7360a1d6805445e2ad04ab17b6", "the image is copied first"},
	{"e55d191d2c12456e829de156c0ec60a6", "private copy could not be removed"},
	{"290af857970c1eb94c901845c6babe51", "private copies of an earlier run could not all be removed"},
	{"880b7ecfe8d4d1ef08b7bc54996d6843", "the installer cannot be bound to the image after all, trying without"},
	{"36eb67f5f475a8042399e4e5f6d060ae", "image installed, restarting the board"},
	{"deeae5b1b5a4e47748d8b5e20aa7cd6f", "image installed; the restart is left to others (installer.reboot = false)"},
	{"d4a59bb9047bf907f1b50efff74426f8", "the board could not be restarted"},
	{"471a5f1c790a22601bc514b034001ae3", "installation of an earlier run taken over"},
	{"913869584076017861fe8a95497ab60d", "installation of an earlier run failed"},
	{"b3513e77de4358eaf283b6dc71a0a5c7", "the board runs the image installed last"},
	{"27920d3c2db339a2a3dafc0525ca6c30", "the board went back from the image installed last"},
	{"ac61490f0359db6b619a13ff39b5f871", "what became of the last installation cannot be known"},
	{"f7626d381b78d3318c4ad323408a8b13", "installer: "},
	// The keyring
	{"09a6238b419e1276e85a9494a5e36add", "the installed keyring was missing or empty and was brought back"},
	{"a0ddf8bd22603eec2463e14e0f6e0149", "the installed keyring cannot be mended; nothing can be verified"},
	{"03cb0ba1d4657bcce614ea8dc47e1db0", "the installed keyring cannot be used"},
	{"f4fe649d3c993f605e8f761004ff960e", "the installed keyring differs from the one recorded last (other slot, other image, or changed by hand)"},
	// The agent itself
	{"960fd97d1b048d5e633f233bd72e2275", "usbagent starts"},
	{"222a0c4b52e55cf2df27d86ce7ae86a0", "this board lacks something, the work goes on without it"},
	{"c836893787503f92c60eee1d1b2ab73f", "a shell set-up for USB sticks is still there, and would handle each stick a second time: "},
	{"d9cd1678874ed1adf48eac851e38a727", "sticks are mounted elsewhere, since the configured place is on a read-only file system"},
	{"6acdbd1fe9eff7d36b69cab07dfbfba3", "configuration: "},
	{"931a0d246e5f65543619541bee7ae3b3", "stopping"},
	{"ac4f15ba8137aac8e8cb988cb7f2d04a", "something does not answer and is left behind"},
	{"5ec53a8865fbbe37a243fe54b92b7d35", "not everything could be unmounted in time"},
	{"ac8dfa878c46cf062b82210ba87e6121", "mount of an earlier run taken over"},
	{"70e2a4c103377d41232b32a020b13bf0", "mounts of an earlier run could not all be cleaned up"},
	{"1bb594ce193aec63d75e2f4bce9eb2ab", "uevents were lost, looking at all devices again"},
	{"afffad453447617f128c6561ee7c6103", "uevents cannot be received, the socket is opened anew"},
	{"e2fb7d575522a8c5562e49103ad77894", "not all block devices could be looked at"},
	{"b8a1da79ee062142906aede2863818e6", "block device cannot be looked at"},
	{"ea9e827e1789ac63bfc5b82890c50957", "a medium inserted later may not be noticed"},
	{"232f361551d420ef684a130fd8a2373f", "status cannot be shown"},
	{"ba48669ef62d07b20ab80b2cc92aa11f", "state directory cannot be used; what happened is forgotten at the next boot"},
	{"f40dcdef09b0bbc81f448c5bee559906", "a damaged file of the state directory was set aside"},
	{"7ba10bf2a26fe520d395470bb4314141", "the state directory did not take a record"},
	{"1d549769c6edb6b7081133958baf76e7", "no LED, the work goes on without it"},
	{"ea15031b3e34f68c83bf283e623ea7e1", "the LED failed"},
	{"e1728ccc5243832bd6b056e9d12ec7bb", "the LED could not be left as it should be"},
}

// MessageID returns the ID of a line of the log, "" where it has none.
func MessageID(text string) string {
	for _, m := range Messages {
		if text == m.Text || strings.HasSuffix(m.Text, ": ") && strings.HasPrefix(text, m.Text) {
			return m.ID
		}
	}
	return ""
}
