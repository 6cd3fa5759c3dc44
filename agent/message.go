// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import "strings"

// Message is one line of the log that programs may look for.
type Message struct {
	ID      string // MESSAGE_ID, 128 bits in hex; never changes, whatever becomes of the text
	Text    string // as it is logged; one that ends in ": " goes on with something variable
	Meaning string
}

// Messages are all lines that the agent logs, by what they are about. A new
// line gets an ID of its own (systemd-id128 new); the ID of a line that is no
// longer logged is not used again.
var Messages = []Message{
	// The life of a stick
	{"9cb497e036edd8f97869c5e30acde393", "stick found",
		"A USB disk with a medium is in the port"},
	{"e88be11b08dc76a683193e9768cb8783", "mounted with a warning",
		"The file system was mounted, and something about it is odd"},
	{"19132fa0b5d68770435b9fc13f672b11", "not mounted",
		"One file system of the stick could not be mounted"},
	{"feccc2b19f8fe72fd6a562f5c85f6c4b", "step done",
		"A step did what the stick asked for"},
	{"57ebc8462716b50c3dea7f253f4ef68a", "step skipped",
		"A step had nothing to do, or was not meant for this board"},
	{"4102e84d29bde9cf2cc01bf99eb2f750", "step refused",
		"A step was decided against before it had any effect"},
	{"4984df21d0468cad58243365a1161dcd", "step failed",
		"A step went wrong"},
	{"52085a78468c85c7ae65866058adbbc2", "signature is good",
		"Who vouched for a file, and what its bytes were"},
	{"79611065ca118f7472cfb5603b64b8aa", "stick finished, it may be pulled",
		"All that the stick asked for is done or refused; USBAGENT_CODE is what the LED flashes"},
	{"f738e6df91d74f8441de1f4c06394fc6", "stick finished, it had been pulled",
		"The same, for a stick that is no longer in the port"},
	{"ff4df32e0f9c9d4f6c0aad4ffc63dfd9", "stick pulled",
		"The stick has left the port"},
	{"6357d6c61562a6cd234c20343216a51a", "stick pulled, its further steps are dropped",
		"What had not begun is not begun any more"},
	{"ee5610e9837e41fbde2a86e32bd2d8b8", "stick was handled before in this boot, nothing is done again",
		"The agent was started anew with the stick in the port; pull it and plug it in for another go"},
	{"dc6fb0b0086183074d7404d63aded519", "the medium was taken out",
		"A card reader whose card went away while it was being read"},
	{"fb0c24194ac1b787175e35629f538284", "stick of an earlier run was pulled meanwhile", "Its mount is undone"},
	{"6396a8d1d337017f9893e25cf927365d", "mount could not be undone",
		"The mount point of a stick stays; the next start of the agent tries again"},
	{"0f6e73d7603fcdbd5c06efc5ce10fa82", "the stick may be left writable",
		"A file system that an earlier run left writable could not be made read-only"},
	// Scripts
	{"bde707725b6f847cdaf623410c06b535", "script started",
		"The verified autorun.sh runs; its output has the identifier usb-autorun"},
	{"25d000c1e341107c7db10dc72e8d4842", "file of the script is copied",
		"A file that the script asks for by its directives, verified like the script itself"},
	{"630ee3d8e92f86905b88ea152d372053", "script of an earlier run taken over",
		"A script that outlived the agent is waited for"},
	{"7983156cf5234dacbe886912189cd395", "script of an earlier run ended",
		"How that script ended"},
	{"c286a7e598049f9c8646a99fc2dd9f35", "how the script of an earlier run ended is unknown",
		"Its record was lost"},
	{"256f1656eac9748a4a0ac1e731f4565d", "whether a script of an earlier run still runs cannot be known",
		"The service manager does not answer; the agent goes on"},
	{"18302af935715508c5fd7e26a68878b9", "script's unit could not be cleaned up",
		"The transient unit stays until the next boot"},
	{"e07607aca486613cb1565ce6c864e1b1", "the script's last lines are not in the receipt",
		"The journal could not be asked"},
	{"5ee5db7bf7e6f444097cdd9ace62f167", "the system is going down, nothing more is started",
		"A script has asked for a restart or a shutdown"},
	{"a6fb37d1e0dd15d6d68fdbdaf90c4f30", "the boot does not finish, the work goes on all the same",
		"A job of the boot hangs; waited ten minutes for it"},
	// Images
	{"1e405b7d5d3605d51dfdeaec2acbb4fc", "image handed to the installer",
		"An installation begins"},
	{"a15bb5e64c82d0e9efa04c1deb420ab8", "the installer reads the image from the stick",
		"Why no private copy is needed"},
	{"8d69ce7360a1d6805445e2ad04ab17b6", "the image is copied first",
		"Why a private copy is made"},
	{"e55d191d2c12456e829de156c0ec60a6", "private copy could not be removed",
		"It takes room in the state directory until the next start"},
	{"290af857970c1eb94c901845c6babe51", "private copies of an earlier run could not all be removed",
		"The same, at the start"},
	{"880b7ecfe8d4d1ef08b7bc54996d6843", "the installer cannot be bound to the image after all, trying without",
		"RAUC does not know the option; it gets a private copy or verifies by itself"},
	{"36eb67f5f475a8042399e4e5f6d060ae", "image installed, restarting the board",
		"The board restarts into the new system"},
	{"deeae5b1b5a4e47748d8b5e20aa7cd6f", "image installed; the restart is left to others (installer.reboot = false)",
		"The new system runs after the next restart"},
	{"d4a59bb9047bf907f1b50efff74426f8", "the board could not be restarted",
		"The image is installed; cut the power to restart"},
	{"471a5f1c790a22601bc514b034001ae3", "installation of an earlier run taken over",
		"An installation that outlived the agent is waited for"},
	{"913869584076017861fe8a95497ab60d", "installation of an earlier run failed",
		"Its reason is in USBAGENT_ERROR"},
	{"b3513e77de4358eaf283b6dc71a0a5c7", "the board runs the image installed last",
		"The installation has arrived and is confirmed good"},
	{"27920d3c2db339a2a3dafc0525ca6c30", "the board went back from the image installed last",
		"The new system did not boot or was not confirmed; it is not tried again at boot"},
	{"ac61490f0359db6b619a13ff39b5f871", "what became of the last installation cannot be known",
		"The installer does not answer"},
	{"f7626d381b78d3318c4ad323408a8b13", "installer: ",
		"A line of the command in installer.command"},
	// The keyring
	{"09a6238b419e1276e85a9494a5e36add", "the installed keyring was missing or empty and was brought back",
		"An earlier tool had left it so"},
	{"a0ddf8bd22603eec2463e14e0f6e0149", "the installed keyring cannot be mended; nothing can be verified",
		"Put a keyring there by hand"},
	{"03cb0ba1d4657bcce614ea8dc47e1db0", "the installed keyring cannot be used",
		"It is missing or damaged; usbagent keyring restore brings the kept one back"},
	{"f4fe649d3c993f605e8f761004ff960e", "the installed keyring differs from the one recorded last (other slot, other image, or changed by hand)",
		"Told, not changed"},
	// The agent itself
	{"960fd97d1b048d5e633f233bd72e2275", "usbagent starts",
		"With its version and the configuration that it reads"},
	{"222a0c4b52e55cf2df27d86ce7ae86a0", "this board lacks something, the work goes on without it",
		"USBAGENT_LACKS says what; nothing that a stick asks for depends on it"},
	{"c836893787503f92c60eee1d1b2ab73f", "a shell set-up for USB sticks is still there, and would handle each stick a second time: ",
		"Take it out of the image"},
	{"d9cd1678874ed1adf48eac851e38a727", "sticks are mounted elsewhere, since the configured place is on a read-only file system",
		"USBAGENT_INSTEAD says where"},
	{"6acdbd1fe9eff7d36b69cab07dfbfba3", "configuration: ",
		"A mistake in the configuration, with its line and what is used instead"},
	{"931a0d246e5f65543619541bee7ae3b3", "stopping",
		"A signal asked the agent to end or to begin anew"},
	{"ac4f15ba8137aac8e8cb988cb7f2d04a", "something does not answer and is left behind",
		"A device held the agent up while it stopped"},
	{"5ec53a8865fbbe37a243fe54b92b7d35", "not everything could be unmounted in time",
		"The same, for a mount"},
	{"ac8dfa878c46cf062b82210ba87e6121", "mount of an earlier run taken over",
		"A stick stayed in while the agent was away"},
	{"70e2a4c103377d41232b32a020b13bf0", "mounts of an earlier run could not all be cleaned up",
		"A mount point may be left below mount.root"},
	{"1bb594ce193aec63d75e2f4bce9eb2ab", "uevents were lost, looking at all devices again",
		"Nothing is missed: all devices are looked at"},
	{"afffad453447617f128c6561ee7c6103", "uevents cannot be received, the socket is opened anew",
		"The same, after a pause"},
	{"e2fb7d575522a8c5562e49103ad77894", "not all block devices could be looked at",
		"The kernel's list has an entry that cannot be read"},
	{"b8a1da79ee062142906aede2863818e6", "block device cannot be looked at",
		"The same, for one device"},
	{"ea9e827e1789ac63bfc5b82890c50957", "a medium inserted later may not be noticed",
		"Media polling could not be switched on for a reader"},
	{"232f361551d420ef684a130fd8a2373f", "status cannot be shown",
		"status.json cannot be written; nothing else depends on it"},
	{"ba48669ef62d07b20ab80b2cc92aa11f", "state directory cannot be used; what happened is forgotten at the next boot",
		"History is kept in memory only"},
	{"f40dcdef09b0bbc81f448c5bee559906", "a damaged file of the state directory was set aside",
		"It is kept under the name *.damaged"},
	{"7ba10bf2a26fe520d395470bb4314141", "the state directory did not take a record",
		"History may be incomplete; no safety depends on it"},
	{"1d549769c6edb6b7081133958baf76e7", "no LED, the work goes on without it",
		"led.backend and led.name do not fit the board"},
	{"ea15031b3e34f68c83bf283e623ea7e1", "the LED failed",
		"The work goes on without it"},
	{"e1728ccc5243832bd6b056e9d12ec7bb", "the LED could not be left as it should be",
		"It may show something stale until the next boot"},
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
