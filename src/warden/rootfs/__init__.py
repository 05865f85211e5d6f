"""What a container's root file system is made of: images, and the files of /etc that are its own."""
