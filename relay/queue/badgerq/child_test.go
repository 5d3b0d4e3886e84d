package badgerq

func runAsChild() bool { return false }
