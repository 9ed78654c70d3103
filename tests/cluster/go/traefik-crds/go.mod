module fraudops.dev/testcluster/traefik-crds

go 1.26
