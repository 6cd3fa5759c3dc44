// SPDX-License-Identifier: GPL-3.0-or-later

package main

// RunCmd is "usbagent run".
type RunCmd struct {
	Config      string
	CheckConfig bool
	benchFlags
}

func (c *RunCmd) command() *command {
	cmd := leaf("run [flags]", "Run the daemon: wait for sticks and do what they bring.", onBoard, c.Run)
	configFlag(cmd, &c.Config)
	flag{"check-config", "", "", "Only check the configuration, strictly: an unknown key or a bad value is an error."}.toggle(cmd, &c.CheckConfig)
	c.add(cmd)
	return cmd
}

// configFlag adds the flag that names the configuration of this board.
func configFlag(cmd *command, p *string) {
	*p = defaultConfig
	flag{"config", "", "FILE", "Configuration; where it is missing, the defaults."}.text(cmd, p)
}

// benchFlags let a bench or a test stand in for parts of a board; no help
// names them.
type benchFlags struct {
	RunDir        string   // where the lock, mounts.json and scripts are
	Root          string   // where sys and proc with the LED and the board model are
	RAUCConf      string   // RAUC's system.conf
	LoopFiles     string   // loop devices count only where their backing file begins like this
	BootID        string   // another boot than the machine's, at which the sticks were in
	RebootCommand []string // what is run instead of a reboot
}

func (b *benchFlags) add(cmd *command) {
	b.RunDir = defaultRunDir
	flag{long: "run-dir"}.text(cmd, &b.RunDir)
	flag{long: "root"}.text(cmd, &b.Root)
	flag{long: "rauc-conf"}.text(cmd, &b.RAUCConf)
	flag{long: "loop-files"}.text(cmd, &b.LoopFiles)
	flag{long: "boot-id"}.text(cmd, &b.BootID)
	flag{long: "reboot-command"}.list(cmd, &b.RebootCommand)
	hide(cmd, "run-dir", "root", "rauc-conf", "loop-files", "boot-id", "reboot-command")
}

// Run is the daemon.
func (c *RunCmd) Run() error {
	if c.CheckConfig {
		return checkConfig(c.Config)
	}
	return runDaemon(c.Config, c.benchFlags)
}
